"""A folder's state, and a stage's results, as commits: without Prefect."""

import os
import shutil
from pathlib import Path

import pytest

from flows.stages.state import commit_state, take_results
from flows.workspace.git import run_git
from flows.workspace.shared_ref import SharedRef
from pipeline.errors import RefrainError
from tests.support.project import Project

REF = "refs/refrain/1/train-gru"


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
    (again.folder / "reports/metrics.json").unlink()
    (again.folder / ".env").write_text("a secret")
    (again.folder / "data/.gitignore").unlink()  # data/encoded is not ignored any more, but DVC's
    before = again.run("git", "status", "--porcelain=v2").stdout
    commit = commit_state(again.folder)
    assert again.run("git", "status", "--porcelain=v2").stdout == before, "nobody's index is touched"
    assert run_git(again.folder, "rev-parse", "HEAD") == run_git(other.folder, "rev-parse", "HEAD")
    fetched(other, again, commit)
    assert again.run("git", "for-each-ref", "refs/refrain").stdout == "", "and no ref is left"

    run_git(other.folder, "checkout", "-q", commit)
    tracked = again.run("git", "ls-files", "-z").stdout.split("\0")
    gone = {"reports/metrics.json", "data/.gitignore"}
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


@pytest.fixture(scope="module")
def pair(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project, and a clone of it that has trained the larger GRU that both ask for."""
    folder = tmp_path_factory.mktemp("pair")
    project = Project(folder / "again", copy_of=finished)
    project.run("dvc", "remote", "add", "--default", "store", "../remote")
    project.commit("remote")
    clone = Project(folder / "other", clone_of=project)
    for each in (project, clone):
        each.edit("hidden_size: 16, num_layers: 2", "hidden_size: 20, num_layers: 2")
    clone.run("dvc", "repro", "train@gru")
    clone.run("dvc", "push")
    return folder


@pytest.fixture
def home(pair: Path, tmp_path: Path) -> Project:
    """The project of the pair, to be changed."""
    shutil.copytree(pair / "remote", tmp_path / "remote")
    return Project(tmp_path / "home", copy_of=pair / "again")


@pytest.fixture
def other(pair: Path, home: Project, tmp_path: Path) -> Project:
    """The clone of the pair, to be changed."""
    other = Project(tmp_path / "other", copy_of=pair / "other")
    run_git(other.folder, "remote", "set-url", "origin", str(home.folder))
    return other


def results_of(other: Project) -> str:
    """A commit of what a clone has, pushed to the project that it is a clone of."""
    commit = commit_state(other.folder)
    run_git(other.folder, "push", "-q", "origin", f"{commit}:{REF}")
    return commit


def test_results_travel_with_their_entry_in_dvc_lock(home: Project, other: Project) -> None:
    (home.folder / "reports/train/gru/plots/metrics/left.tsv").write_text("of the run before")
    take_results(home.folder, "train@gru", results_of(other))
    home.run("dvc", "pull", "--force", "train@gru")
    assert home.hashes("gru").items() >= other.hashes("gru").items()
    assert "up to date" in home.run("dvc", "status", "train@gru").stdout
    assert home.run("git", "status", "--porcelain").stdout == other.run("git", "status", "--porcelain").stdout


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("dvc.lock", "cmd: python -m pipeline.stages.train --model gru", "cmd: touch x", "of another stage"),
        ("dvc.lock", "- path: models/gru.safetensors", "- path: ../gru.safetensors", "of another stage"),
        ("dvc.lock", "train@gru:", "train@lstm:", "of another stage"),
    ],
)
def test_results_of_another_stage_change_nothing(
    home: Project, other: Project, file: str, old: str, new: str, message: str
) -> None:
    text = (other.folder / file).read_text(encoding="utf-8")
    (other.folder / file).write_text(text.replace(old, new), encoding="utf-8")
    refused(home, git_commit_of(other), message)


def git_commit_of(other: Project) -> str:
    """All that is in the clone, pushed to the project, past DVC, which might refuse it."""
    run_git(other.folder, "add", "--all")
    run_git(other.folder, "commit", "-q", "-m", "made up")
    run_git(other.folder, "push", "-q", "origin", f"HEAD:{REF}")
    return run_git(other.folder, "rev-parse", "HEAD")


def refused(project: Project, commit: str, message: str) -> None:
    status, hashes = project.run("git", "status", "--porcelain").stdout, project.hashes()
    with pytest.raises(RefrainError, match=message):
        take_results(project.folder, "train@gru", commit)
    assert project.run("git", "status", "--porcelain").stdout == status
    assert project.hashes() == hashes


def test_results_that_are_no_plain_files_or_no_digests_change_nothing(home: Project, other: Project) -> None:
    metrics = other.folder / "reports/train/gru/metrics.json"
    content = metrics.read_bytes()
    metrics.unlink()
    metrics.symlink_to("/etc/passwd")
    refused(home, git_commit_of(other), "is no plain file")
    metrics.unlink()
    metrics.write_bytes(content)
    lock = (other.folder / "dvc.lock").read_text(encoding="utf-8")
    start = lock.index("md5: ", lock.index("models/gru.safetensors", lock.index("train@gru:"))) + 5
    (other.folder / "dvc.lock").write_text(lock[:start] + "25/../../../secret.txt" + lock[start + 32 :])
    refused(home, git_commit_of(other), "contain a wrong digest")
