"""A folder's state, and a stage's results, as commits: without Prefect."""

import os
from pathlib import Path

import pytest

from flows.stages.state import commit_state
from flows.workspace.git import run_git
from flows.workspace.shared_ref import SharedRef
from pipeline.errors import RefrainError
from tests.support.answers import REF, STAGE, Pair
from tests.support.project import Project


def fetched(project: Project, source: Project, commit: str) -> None:
    """Bring a commit of ``source`` to a clone of it."""
    with SharedRef(source.folder, None, REF).pointing_to(commit, warn=print):
        assert SharedRef(project.folder, "origin", REF).read() == commit


def test_a_state_has_what_stages_read_as_it_is_and_nothing_else(again: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other", clone_of=again)
    again.edit("seed: 1", "seed: 2")
    (again.folder / "pipeline/new.bin").write_bytes(bytes(range(256)))
    (again.folder / "pipeline/text.txt").write_bytes(b"\r\nlatin: \xe9 \n  trailing  ")
    (again.folder / "pipeline/staged file.py").write_text("1")
    again.run("git", "add", "pipeline/staged file.py")
    (again.folder / "reports/perplexity.json").unlink()
    (again.folder / ".env").write_text("a secret")
    (again.folder / "pipeline/.env").write_text("a secret")
    (again.folder / "pipeline/.keys").mkdir()
    (again.folder / "pipeline/.keys/id").write_text("a secret")
    (again.folder / "data/.gitignore").unlink()  # data/encoded is not ignored any more, but DVC's
    before = again.run("git", "status", "--porcelain=v2").stdout
    commit = commit_state(again.folder)
    assert again.run("git", "status", "--porcelain=v2").stdout == before, "nobody's index is touched"
    assert run_git(again.folder, "rev-parse", "HEAD") == run_git(other.folder, "rev-parse", "HEAD")
    fetched(other, again, commit)
    assert again.run("git", "for-each-ref", "refs/refrain").stdout == "", "and no ref is left"

    run_git(other.folder, "checkout", "-q", commit)
    tracked = again.run("git", "ls-files", "-z").stdout.split("\0")
    gone = {"reports/perplexity.json", "data/.gitignore"}
    names = {name for name in tracked if name} - gone | {"pipeline/new.bin", "pipeline/text.txt"}
    assert set(filter(None, other.run("git", "ls-files", "-z").stdout.split("\0"))) == names
    for name in names:
        assert (other.folder / name).read_bytes() == (again.folder / name).read_bytes(), name


def test_a_change_within_a_second_of_the_commit_is_not_missed(again: Project) -> None:
    params, index = again.folder / "params.yaml", again.folder / ".git/index"
    run_git(again.folder, "config", "core.trustctime", "false")
    run_git(again.folder, "update-index", "-q", "--refresh")  # the fixture has copied the files
    before = params.stat()
    again.edit("seed: 1", "seed: 2")  # as many bytes
    for path in (params, index):
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "seed: 2" in run_git(again.folder, "show", f"{commit_state(again.folder)}:params.yaml")


def test_a_state_that_is_too_large_for_git_is_refused(again: Project) -> None:
    with (again.folder / "pipeline/large.txt").open("wb") as file:
        file.truncate(33 << 20)
    with pytest.raises(RefrainError, match="the folder differs from its commit by 33 MB: commit that"):
        commit_state(again.folder)


def test_results_travel_with_their_entry_in_dvc_lock(pair: Pair) -> None:
    home, other = pair.home, pair.other
    (home.folder / "reports/train/gru/plots/metrics/left.tsv").write_text("of the run before")
    pair.take(pair.push(commit_state(other.folder)))
    home.run("dvc", "pull", "--force", STAGE)
    assert home.hashes("train/gru") == other.hashes("train/gru")
    assert home.hashes("models/gru.safetensors") == other.hashes("models/gru.safetensors")
    assert "up to date" in home.run("dvc", "status", STAGE).stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cmd: python -m pipeline.stages.train --model gru", "cmd: touch x"),
        ("- path: models/gru.safetensors", "- path: ../gru.safetensors"),
        ("train@gru:", "train@lstm:"),
    ],
)
def test_results_of_another_stage_change_nothing(pair: Pair, old: str, new: str) -> None:
    lock = pair.other.folder / "dvc.lock"
    lock.write_text(lock.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    pair.refuses(pair.answer(), "of another stage")
