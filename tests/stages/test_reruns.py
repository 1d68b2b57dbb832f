"""What runs again, and what does not, in a real DVC repository."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support.project import Project

pytestmark = pytest.mark.slow


def ran(output: str) -> set[str]:
    """Stages whose commands DVC started."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def locked(project: Project) -> dict[str, object]:
    """What dvc.lock has of each stage."""
    text = (project.folder / "dvc.lock").read_text(encoding="utf-8")
    return dict(YAML(typ="safe").load(text)["stages"])


def test_comments_docstrings_and_blank_lines_run_nothing(again: Project) -> None:
    before, modules = locked(again), []
    for path in (again.folder / "pipeline").rglob("*.py"):
        with path.open("a", encoding="utf-8") as file:
            file.write('\n\n# A comment.\n"""A docstring."""\n')
        modules.append(str(path.relative_to(again.folder)))
    assert ran(again.run("dvc", "repro").stdout) == {"code"}
    changed = again.run("git", "diff", "--name-only").stdout.split()
    assert sorted(changed) == sorted([*modules, "dvc.lock"])
    after = locked(again)
    assert {stage for stage in after if after[stage] != before[stage]} == {"code"}


def test_a_constant_runs_what_imports_it(again: Project) -> None:
    again.edit("FREQUENT = 20", "FREQUENT = 21", "pipeline/stages/report.py")
    assert ran(again.run("dvc", "repro").stdout) == {"code", "report"}
    again.edit("CHUNK_BYTES = 1 << 20", "CHUNK_BYTES = 1 << 19", "pipeline/text/reading.py")
    # The same text comes of it, so that nothing behind these runs again.
    assert ran(again.run("dvc", "repro").stdout) == {"code", "build_vocab", "encode_corpus"}


def test_a_training_that_was_run_before_comes_from_the_run_cache(again: Project) -> None:
    whole = again.hashes()
    again.edit("epochs: 4", "epochs: 2")
    assert "train@gru" in ran(again.run("dvc", "repro").stdout)
    assert again.hashes() != whole
    again.edit("epochs: 2", "epochs: 4")
    assert ran(again.run("dvc", "repro").stdout) == set()
    assert again.hashes() == whole
    assert again.run("git", "status", "--porcelain").stdout == ""


def test_a_new_model_is_trained_evaluated_and_sampled_alone(again: Project) -> None:
    again.edit("generate:\n", "  lstm: {cell: lstm, hidden_size: 8, num_layers: 1}\ngenerate:\n")
    expected = {f"{stage}@lstm" for stage in ("train", "evaluate", "generate")} | {"code", "report"}
    assert ran(again.run("dvc", "repro").stdout) == expected
    metrics = json.loads((again.folder / "reports/metrics.json").read_text(encoding="utf-8"))
    assert "lstm" in metrics


def test_clean_clones_are_quiet(again: Project) -> None:
    for command in ("status", "checkout"):
        result = again.run("dvc", command)
        assert len(result.stdout.splitlines()) <= 1, result.stdout


def test_a_text_of_the_catalogue_is_there_in_experiments(
    new_project: Callable[[str], Project], tmp_path: Path
) -> None:
    """Git ignores it; tracked by DVC, it reaches the folder that `dvc exp run --temp` works in."""
    project, text = new_project("song"), "分开 不分开\n" * 400
    (tmp_path / "song.txt").write_text(text, encoding="utf-8")
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    (project.folder / "data/catalog.yaml").write_text(
        f"song:\n  url: https://127.0.0.1:9/\n  file: song.txt\n  sha256: {sha256}\n"
        "  normalize: lyrics\n  licence: CC0\n"
    )
    project.edit("path: data/raw/lyrics.txt", "path: data/raw/song.txt")
    project.edit("  rnn: {cell: rnn, hidden_size: 16, num_layers: 1}\n", "")
    project.commit("another text")
    environment = {**os.environ, "REFRAIN_CORPORA": str(tmp_path)}
    project.run("refrain", "fetch", "song", env=environment)
    assert project.run("git", "diff", "--cached", "--name-only").stdout == "data/raw/song.txt.dvc\n"
    project.run("dvc", "exp", "run", "--temp", "-S", "train.epochs=1", "-n", "short")
    assert "short" in project.run("dvc", "exp", "show", "--csv").stdout
