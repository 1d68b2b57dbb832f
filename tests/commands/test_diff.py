"""`refrain diff` in a real repository of git and DVC."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def longer_project(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose held-out text is long enough for intervals, and a second commit with a better GRU."""
    project = Project(tmp_path_factory.mktemp("diff") / "project", copy_of=finished)
    project.edit("max_chars: 3000", "max_chars: 8000")
    project.edit("  gru: {cell: gru,", "  gru: {cell: gru, train: {epochs: 1, learning_rate: 1.0e-4},")
    project.run("dvc", "repro", "evaluate")
    project.commit("a weak GRU")
    project.edit("train: {epochs: 1, learning_rate: 1.0e-4},", "train: {epochs: 6},")
    project.run("dvc", "repro", "evaluate")
    project.commit("a better GRU")
    return project


@pytest.fixture
def longer(longer_project: Project, tmp_path: Path) -> Project:
    return Project(tmp_path / "longer", copy_of=longer_project)


def rows(project: Project, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = json.loads(project.run("refrain", "diff", *arguments, "--json").stdout)
    return {(row["model"], row["split"]): row for row in found["differences"]}


def causes(project: Project, *arguments: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(project.run("refrain", "diff", *arguments, "--json").stdout)[
        "causes"
    ]
    return found


def test_two_commits_on_the_same_characters(longer: Project) -> None:
    found = rows(longer, "HEAD~1", "HEAD")
    assert set(found) == {(model, split) for model in ("rnn", "gru") for split in ("valid", "test")}
    assert found["gru", "test"]["verdict"] == "better"
    assert found["gru", "test"]["high"] < 0
    assert found["rnn", "test"]["verdict"] == "no difference shown"
    assert found["rnn", "test"]["change"] == found["rnn", "test"]["low"] == 0
    assert found == rows(longer, "HEAD~1")  # the workspace is that of HEAD
    found = rows(longer)
    assert all(row["change"] == 0 for row in found.values())
    back = rows(longer, "HEAD", "HEAD~1")
    assert back["gru", "test"]["verdict"] == "worse"
    assert causes(longer, "HEAD~1") == {
        "parameters": [
            "models.gru.train.epochs: 1 -> 6",
            "models.gru.train.learning_rate: 0.0001 -> default",
        ]
    }


def test_what_people_see(longer: Project) -> None:
    said = longer.run("refrain", "diff", "HEAD~1").stdout
    assert "perplexity, from HEAD~1 to workspace" in said
    assert "better" in said
    assert "parameters: models.gru.train.epochs: 1 -> 6" in said
    assert longer.run("refrain", "diff").stdout == "nothing differs between HEAD and workspace\n"
    markdown = longer.run("refrain", "diff", "HEAD~1", "--md").stdout.splitlines()
    assert markdown[0] == "### perplexity, from HEAD~1 to workspace"
    assert markdown[2] == "| model | split | before | after | change | 95% interval | verdict |"
    assert all(line.count("|") == 8 for line in markdown[2:8])
    result = longer.run("refrain", "diff", "nowhere", check=False)
    assert (result.returncode, result.stderr) == (1, "error: nowhere: unknown Git revision 'nowhere'\n")


def test_figures_that_are_not_those_of_the_parameters(longer: Project) -> None:
    longer.edit("train: {epochs: 6}", "train: {epochs: 7}")
    said = longer.run("refrain", "diff").stdout
    assert (
        "parameters: models.gru.train.epochs: 6 -> 7\nnot up to date: inputs of code and 1 more have" in said
    )
    assert "workspace not up to date: inputs of code and 1 more have" in longer.run("refrain", "runs").stdout
    longer.edit("gru: {cell: gru", "gru: {cell: gnu")
    longer.run("dvc", "repro", check=False)
    assert not (longer.folder / "code.json").exists(), "DVC deletes what a stage writes before it runs"
    longer.edit("gru: {cell: gnu", "gru: {cell: gru")
    assert list(causes(longer)) == ["parameters"]


def test_a_page_names_the_commit_and_the_results_that_it_is_about(longer: Project) -> None:
    page = longer.folder / "reports/changes.html"
    longer.run("dvc", "repro")
    said = longer.run("refrain", "diff", "HEAD~1", "--html", str(page)).stdout
    assert "perplexity, from HEAD~1 to workspace" in said, "the table is printed, too"
    shown = page.read_text(encoding="utf-8")
    commit = longer.run("git", "rev-parse", "HEAD~1").stdout[:7]
    assert f"<title>Refrain: Perplexity, from HEAD~1 ({commit}) to workspace</title>" in shown
    assert '<td class="better">better</td>' in shown
    assert "<li>parameters: models.gru.train.epochs: 1 -&gt; 6; " in shown
    results = re.search('id="(results-[0-9a-f]{12})"', shown)
    assert results
    index = (longer.folder / "reports/index.html").read_text(encoding="utf-8")
    assert f'data="changes.html#{results[1]}"' in index
    longer.run("refrain", "diff", "HEAD~1", "HEAD", "--html", str(page))
    assert "id=" not in page.read_text(encoding="utf-8"), "it is not about the workspace"
    assert "changes.html" not in longer.run("git", "status", "--porcelain").stdout


def test_a_commit_without_results_is_one_line(again: Project) -> None:
    """As in the first run of a new project."""
    again.run("git", "rm", "-q", "--cached", "dvc.lock")
    again.run("git", "commit", "-q", "-m", "without results")
    result = again.run("refrain", "diff", "--html", "changes.html")
    assert result.stdout == "HEAD has no results to compare with: commit results first\n"
    page = (again.folder / "changes.html").read_text(encoding="utf-8")
    assert page.count("<td>not compared</td>") == 4
    assert "HEAD has no losses, and the weights of HEAD are neither in DVC" in page


def test_losses_of_other_revisions_come_from_the_remote(longer: Project, tmp_path: Path) -> None:
    expected = rows(longer, "HEAD~1")
    longer.run("dvc", "remote", "add", "-d", "store", str(tmp_path / "remote"))
    for commit in ("HEAD~1", "main"):
        longer.run("git", "checkout", "-q", commit)
        longer.run("dvc", "push")
    shutil.rmtree(longer.folder / ".dvc/cache")
    assert rows(longer, "HEAD~1") == expected
    shutil.rmtree(tmp_path / "remote")
    shutil.rmtree(longer.folder / ".dvc/cache", ignore_errors=True)
    shutil.rmtree(longer.folder / ".dvc/tmp", ignore_errors=True)
    for row in rows(longer, "HEAD~1").values():
        assert row["status"] == "not comparable"
        assert "neither in DVC's cache nor in its remote" in row["note"]


def test_a_text_that_grew_is_scored_with_the_old_weights(longer: Project) -> None:
    longer.edit("max_chars: 8000", "max_chars: 13000")
    longer.run("dvc", "repro", "evaluate")
    found = rows(longer)
    for row in found.values():
        assert row["status"] == "compared"
        assert row["left_out"] > 0
    assert any("its weights were scored on the text of workspace" in row["note"] for row in found.values())
    assert "corpus.max_chars: 8000 -> 13000" in causes(longer)["parameters"]


def test_models_are_not_compared_on_what_one_of_them_has_learned(longer: Project) -> None:
    longer.edit("test: 0.1}", "test: 0.1, seed: 7}")
    longer.run("dvc", "repro", "evaluate")
    for row in rows(longer).values():
        assert row["status"] == "not comparable"
        assert row["verdict"] == "not compared"
        assert "was training text in HEAD, because the split differs" in row["note"]


def test_new_and_removed_models(longer: Project) -> None:
    longer.edit("  rnn: {cell: rnn,", "  lstm: {cell: lstm,")
    longer.run("dvc", "repro", "evaluate")
    found = rows(longer)
    assert found["rnn", "test"]["status"] == "gone"
    assert found["lstm", "test"]["status"] == "new"
    assert found["gru", "test"]["status"] == "compared"


def test_code_text_and_versions_are_named(longer: Project) -> None:
    path = longer.folder / "pipeline/evaluation/score.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nANOTHER = 1\n", encoding="utf-8")
    text = longer.folder / "data/raw/lyrics.txt"
    text.write_text(text.read_text(encoding="utf-8") + "\n一行\n", encoding="utf-8")
    longer.run("dvc", "repro", "evaluate")
    found = causes(longer)
    assert "evaluate" in found["code"]
    assert found["text"] == ["the corpus"]
