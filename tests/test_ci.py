"""What continuous integration runs."""

import os
import re
import shutil

import pytest
from ruamel.yaml import YAML

from tests.support.project import ROOT, Project

WORKFLOWS = {path.stem: path for path in (ROOT / ".github/workflows").glob("*.yml")}
TRUSTED = r"\$\{\{ (matrix|steps|needs)\.[\w.]+ \}\}"
"""What we wrote ourselves, not the name of somebody's branch."""


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_shells_read_what_others_name_from_variables(name: str) -> None:
    workflow = YAML(typ="safe").load(WORKFLOWS[name].read_text(encoding="utf-8"))
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in re.sub(TRUSTED, "", step.get("run", ""))


def test_pull_requests_are_compared_in_their_summary() -> None:
    workflow = YAML(typ="safe").load(WORKFLOWS["compare"].read_text(encoding="utf-8"))
    assert workflow["on"] == "pull_request"
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    checkout, *_, last = job["steps"]
    assert checkout["with"]["fetch-depth"] == 0, "or the branch's commits are not there"
    assert last["run"] == '.ci/compare "origin/$BASE" >>"$GITHUB_STEP_SUMMARY"'
    assert last["env"] == {"BASE": "${{ github.base_ref }}"}
    assert os.access(ROOT / ".ci/compare", os.X_OK)


@pytest.fixture
def branched(again: Project) -> Project:
    """A project on a branch whose commit changes a parameter, with a file that is in no commit."""
    (again.folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/compare", again.folder / ".ci")
    again.commit("the script")
    again.run("git", "checkout", "-q", "-b", "other")
    again.edit("  gru: {cell: gru,", "  gru: {cell: gru, train: {epochs: 5},")
    again.commit("train longer")
    (again.folder / "mine.txt").write_text("mine", encoding="utf-8")
    return again


@pytest.mark.slow
def test_a_branch_is_compared_with_where_it_began(branched: Project) -> None:
    commits = branched.run("git", "rev-list", "--all", "--objects").stdout
    result = branched.run(".ci/compare", "main")
    lines = result.stdout.splitlines()
    base = branched.run("git", "rev-parse", "--short", "main").stdout.strip()
    assert lines[0] == f"### perplexity, from {base} to workspace"
    assert [line.split(" | ")[:2] for line in lines[4:8]] == [
        [f"| {model}", split] for split in ("valid", "test") for model in ("rnn", "gru")
    ]
    assert not any("not compared" in line for line in lines)
    assert "- parameters: models.gru.train.epochs: default -> 5" in lines
    assert (branched.folder / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert branched.run("git", "worktree", "list").stdout.count("\n") == 1
    assert branched.run("git", "rev-list", "--all", "--objects").stdout == commits, "no branch has moved"


@pytest.mark.slow
def test_results_that_the_base_lacks_are_made(branched: Project) -> None:
    shutil.rmtree(branched.folder / ".dvc/cache")
    lines = branched.run(".ci/compare", "main~2").stdout.splitlines()
    assert not any("not compared" in line for line in lines)
    assert len([line for line in lines if line.startswith(("| rnn | ", "| gru | "))]) == 4


@pytest.mark.slow
def test_a_branch_that_nobody_has_is_an_error(branched: Project) -> None:
    result = branched.run(".ci/compare", "origin/main", check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.endswith(
        "error: origin/main and HEAD have no commit in common: fetch the whole history\n"
    )
