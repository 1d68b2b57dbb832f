"""`refrain runs` in a real repository of git and DVC, with experiments that DVC has made."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Held-out text long enough for intervals. On its commit: an experiment with another size, one with other
    code, and one that waits.
    """
    project = Project(tmp_path_factory.mktemp("runs") / "project", copy_of=finished)
    project.edit("max_chars: 3000", "max_chars: 12000")
    project.edit("epochs: 4", "epochs: 1")
    project.run("dvc", "repro")
    project.commit("a longer text")
    project.run("dvc", "exp", "run", "--temp", "-S", "models.gru.hidden_size=24", "-n", "wider")
    project.edit("height=300", "height=310", "pipeline/reporting/charts.py")
    project.run("dvc", "exp", "run", "-n", "higher")
    project.run("git", "checkout", ".")
    project.run("dvc", "checkout")
    project.run("dvc", "exp", "run", "--queue", "-S", "seed=2", "-n", "later")
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    return Project(tmp_path / "runs", copy_of=made)


def runs(project: Project) -> dict[str, dict[str, Any]]:
    return {run["name"]: run for run in json.loads(project.run("refrain", "runs", "--json").stdout)}


def test_experiments_stand_beside_their_commit_and_the_workspace(project: Project) -> None:
    found = runs(project)
    commit = project.run("git", "rev-parse", "HEAD").stdout.strip()
    assert {name: (run["kind"], run["changed"]) for name, run in found.items()} == {
        "workspace": ("workspace", {}),
        "main": ("commit", {}),
        "wider": ("experiment", {"parameters": ["models.gru.hidden_size: 16 -> 24"]}),
        "higher": ("experiment", {"code": ["report"]}),
        "later": ("queued", {"parameters": ["seed: 1 -> 2"]}),
    }
    assert list(found)[:2] == ["workspace", "main"]
    assert {run["commit"] for run in found.values()} == {commit}
    metrics = json.loads((project.folder / "reports/metrics.json").read_text(encoding="utf-8"))
    expected = {name: {split: metrics[name][split] for split in ("valid", "test")} for name in ("rnn", "gru")}
    assert expected["gru"]["test"]["perplexity_low"] < expected["gru"]["test"]["perplexity"]
    for name in ("workspace", "main", "higher"):
        assert found[name]["figures"] == expected
    assert found["wider"]["figures"]["rnn"] == expected["rnn"]
    assert found["wider"]["figures"]["gru"] != expected["gru"]
    assert found["later"]["figures"] == {}


def test_what_people_see(project: Project) -> None:
    project.edit("seed: 1", "seed: 3")
    lines = project.run("refrain", "runs").stdout.splitlines()
    assert lines[0] == "perplexity with 95% intervals, and what differs from the commit"
    assert lines.pop().startswith("workspace not up to date: inputs of train@gru and 1 more have changed")
    headings = [line for line in lines[3:] if not line.startswith(" ")]
    commit = project.run("git", "rev-parse", "HEAD").stdout[:7]
    assert headings[:2] == ["workspace (seed: 1 -> 3)", f"main, {commit}"]
    assert sorted(headings[2:]) == [
        "higher (code)",
        "later, queued (seed: 1 -> 2)",
        "wider (models.gru.hidden_size: 16 -> 24)",
    ]
    figures = [line for line in lines[3:] if line.startswith("  ")]
    assert [line.split()[0] for line in figures] == ["rnn", "gru"] * 4
    assert all(line.count(" to ") == 2 for line in figures)
    assert max(map(len, lines)) <= 100


def test_after_a_commit_experiments_are_still_there(project: Project) -> None:
    project.edit("seed: 1", "seed: 1 # the same")
    project.commit("a comment")
    found = [(run["kind"], run["name"]) for run in runs(project).values()]
    before = project.run("git", "rev-parse", "HEAD~1").stdout[:7]
    assert found[:3] == [("workspace", "workspace"), ("commit", "main"), ("commit", before)]
    assert sorted(found[3:]) == [("experiment", "higher"), ("experiment", "wider"), ("queued", "later")]


def test_without_dvcs_cache_there_are_the_figures_that_git_has(project: Project) -> None:
    shutil.rmtree(project.folder / ".dvc/cache")
    perplexity = json.loads((project.folder / "reports/perplexity.json").read_text(encoding="utf-8"))
    found = runs(project)
    assert found["main"]["figures"] == {
        name: {split: {"perplexity": perplexity[name][split]} for split in ("valid", "test")}
        for name in ("rnn", "gru")
    }
    assert "perplexity_low" in found["workspace"]["figures"]["gru"]["test"]
    assert found["wider"]["figures"] == {}


def test_without_experiments_a_line_says_how_to_make_one(finished: Project, tmp_path: Path) -> None:
    project = Project(tmp_path / "none", copy_of=finished)
    lines = project.run("refrain", "runs").stdout.splitlines()
    assert "workspace (nothing changed)" in lines
    assert lines[-1] == "no experiments: `dvc exp run --temp -S models.gru.hidden_size=256` makes one"
    assert not any("not up to date" in line for line in lines)
    shutil.rmtree(project.folder / ".dvc")
    result = project.run("refrain", "runs", check=False)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "not inside of a DVC repository" in result.stderr
