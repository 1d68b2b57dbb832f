"""`refrain spread` in a real repository, and what comparisons then say."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Project

pytestmark = pytest.mark.slow

SEED = 1
"""The one in the project's params.yaml."""


def rows(project: Project, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = json.loads(project.run("refrain", "diff", *arguments, "--json").stdout)
    return {(row["model"], row["split"]): row for row in found["differences"]}


def experiments(project: Project) -> list[str]:
    return sorted(project.run("dvc", "exp", "list", "-A", "--name-only").stdout.split())


@pytest.fixture(scope="module")
def measured(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the spread of its GRU, whose held-out text is long enough for intervals."""
    project = Project(tmp_path_factory.mktemp("spread") / "project", copy_of=finished)
    project.edit("max_chars: 3000", "max_chars: 12000")
    project.run("dvc", "repro", "evaluate")
    project.commit("longer")
    before = project.run("git", "status", "--porcelain").stdout
    result = project.run("refrain", "spread", "gru", "--seeds", "2")
    assert "gru: valid " in result.stdout
    after = project.run("git", "status", "--porcelain").stdout
    assert (before, after) == ("", "?? reports/spread.json\n")  # the workspace is as it was
    project.commit("spread")
    return project


def test_the_file_has_each_seed(measured: Project) -> None:
    (spread,) = json.loads((measured.folder / "reports/spread.json").read_text()).values()
    assert spread["seeds"] == [SEED, SEED + 1, SEED + 2]
    own = json.loads((measured.folder / "reports/evaluate/gru.json").read_text())["splits"]
    for split in ("valid", "test"):
        figures = spread["perplexity"][split]
        assert figures[0] == own[split]["perplexity"]
        assert len(set(figures)) == 3
        assert spread["relative_standard_deviation"][split] > 0
    assert len(experiments(measured)) == 3


def test_diff_says_whether_it_allows_for_another_seed(measured: Project, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", copy_of=measured)
    project.edit(f"seed: {SEED}", "seed: 99")
    project.run("dvc", "repro", "evaluate")
    found = rows(project)
    assert found["gru", "test"]["note"] == "the interval allows for another seed"
    assert found["gru", "test"]["seed_half_width"] > 0
    assert "run `refrain spread`" in found["rnn", "test"]["note"]
    assert found["rnn", "test"]["seed_half_width"] == 0

    project.edit("  gru: {cell: gru, hidden_size: 16,", "  gru: {cell: gru, hidden_size: 20,")
    project.run("dvc", "repro", "evaluate")
    found = rows(project)
    assert found["gru", "test"]["note"] == (
        "the interval allows for another seed, measured with the parameters of HEAD"
    )
    (project.folder / "reports/spread.json").write_text("{")
    result = project.run("refrain", "diff", check=False)
    assert result.returncode == 1
    assert (
        "error: workspace: reports/spread.json is damaged: check out another one, or delete it"
        in result.stderr
    )
    before = experiments(project)
    assert project.run("refrain", "spread", check=False).stderr == result.stderr
    assert experiments(project) == before, "nothing was trained"


def test_parameters_that_change_meanwhile_are_not_mixed(finished: Project, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", copy_of=finished)
    process = project.start("refrain", "spread", "gru", "--seeds", "2")
    assert process.stdout is not None
    assert process.stdout.readline() == "seed 1 (1 of 3)\n"
    project.edit("  gru: {cell: gru, hidden_size: 16,", "  gru: {cell: gru, hidden_size: 20,")
    *_, last = process.stdout
    assert process.wait() == 1
    assert last.startswith("error: params.yaml or code changed before seed ")
    assert not (project.folder / "reports/spread.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "error: params.yaml has no model 'none': choose from rnn, gru"),
        (["--seeds", "1"], "error: --seeds 1: it should be 2 or more"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(
    finished: Project, arguments: list[str], message: str
) -> None:
    result = finished.run("refrain", "spread", *arguments, check=False)
    assert (result.returncode, result.stderr.splitlines()) == (1, [message])
