"""States on git refs of their own."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from flows.workspace.git import run_git
from flows.workspace.shared_ref import SharedRef, delete_left_refs, find_ref, shared_remote
from pipeline.errors import RefrainError, TransientError
from tests.support.project import Project

NAME = "refs/refrain/0f3a/train-gru"


@pytest.fixture
def repository(new_project: Callable[[str], Project]) -> Project:
    return new_project("repository")


@pytest.fixture
def clone(repository: Project, tmp_path: Path) -> Project:
    return Project(tmp_path / "clone", clone_of=repository)


def head(project: Project) -> str:
    return run_git(project.folder, "rev-parse", "HEAD")


@pytest.mark.parametrize("remote", [None, "origin"])
def test_a_ref_is_deleted_however_the_block_ends(
    repository: Project, clone: Project, remote: str | None
) -> None:
    ref = SharedRef((clone if remote else repository).folder, remote, NAME)
    here = SharedRef(repository.folder, None, NAME)
    with ref.pointing_to(head(repository), warn=print):
        assert ref.read() == here.read() == head(repository)
    assert ref.read() is here.read() is None
    with suppress(KeyboardInterrupt), ref.pointing_to(head(repository), warn=print):
        raise KeyboardInterrupt
    assert here.read() is None
    assert clone.run("git", "for-each-ref", "refs/refrain").stdout == ""


def test_a_ref_that_cannot_be_deleted_does_not_hide_the_error(repository: Project) -> None:
    warnings: list[str] = []
    ref = SharedRef(repository.folder, None, NAME)
    lock = repository.folder / ".git" / f"{NAME}.lock"
    with suppress(KeyboardInterrupt), ref.pointing_to(head(repository), warn=warnings.append):
        lock.touch()
        raise KeyboardInterrupt
    assert "is still on the git remote" in warnings[0]


KILLED = """
import os, signal, sys
from pathlib import Path
from flows.workspace.shared_ref import SharedRef
with SharedRef(Path.cwd(), sys.argv[1] or None, sys.argv[2]).pointing_to(sys.argv[3], warn=print):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("remote", [None, "origin"])
def test_the_next_run_deletes_what_a_killed_run_has_left(
    repository: Project, clone: Project, remote: str | None
) -> None:
    folder, other = (clone if remote else repository).folder, f"{NAME}-2"
    ref = SharedRef(folder, remote, NAME)
    for name in (NAME, other):
        Project.run(
            clone if remote else repository,
            "python",
            "-c",
            KILLED,
            remote or "",
            name,
            head(clone),
            check=False,
        )
    assert ref.read() == head(clone)
    SharedRef(folder, remote, other).delete()  # it is gone already, or never arrived
    living = SharedRef(folder, remote, f"{NAME}-3")
    warnings: list[str] = []
    with living.pointing_to(head(clone), warn=print):
        delete_left_refs(folder, warnings.append)
        assert living.read() == head(clone), "another run is at work"
    assert ref.read() is None
    assert not warnings
    assert not list((folder / ".git/refrain-sent").iterdir())


def test_a_ref_whose_remote_is_away_is_deleted_later(clone: Project) -> None:
    warnings: list[str] = []
    ref, url = SharedRef(clone.folder, "origin", NAME), run_git(clone.folder, "remote", "get-url", "origin")
    with ref.pointing_to(head(clone), warnings.append):
        run_git(clone.folder, "remote", "set-url", "origin", "nowhere")
    delete_left_refs(clone.folder, warnings.append)
    assert len(warnings) == 2
    assert all("is still on the git remote origin, until the next run" in line for line in warnings)
    run_git(clone.folder, "remote", "set-url", "origin", url)
    delete_left_refs(clone.folder, warnings.append)
    assert ref.read() is None
    assert len(warnings) == 2


def test_a_damaged_record_of_a_ref_is_told_once(repository: Project) -> None:
    record = repository.folder / ".git/refrain-sent/x.json"
    record.parent.mkdir()
    warnings: list[str] = []
    for content in ("", "[]", "{}"):
        record.write_text(content)
        for _ in range(2):
            delete_left_refs(repository.folder, warnings.append)
    assert len(warnings) == 3
    assert all("is damaged" in line for line in warnings)


@pytest.mark.parametrize("remote", [None, "origin"])
def test_a_ref_moves_only_from_where_it_was(repository: Project, clone: Project, remote: str | None) -> None:
    ref = SharedRef((clone if remote else repository).folder, remote, NAME)
    first = head(repository)
    clone.run("git", "commit", "-q", "--allow-empty", "-m", "second")
    second = head(clone)
    clone.run("git", "commit", "-q", "--allow-empty", "-m", "third")
    third = head(clone)
    run_git(repository.folder, "fetch", "-q", str(clone.folder), "main")
    ref.write(first)
    ref.move(first, second)
    with pytest.raises(RefrainError):
        ref.move(first, third)
    assert ref.read() == second
    ref.delete()
    with pytest.raises(RefrainError):
        ref.move(first, second)


def test_a_worker_takes_only_refs_that_its_clone_or_a_remote_of_it_has(
    repository: Project, clone: Project
) -> None:
    commit = head(repository)
    with pytest.raises(RefrainError, match="is not known on this stage's machine"):
        find_ref(clone.folder, NAME, commit)  # though the commit itself is there
    with SharedRef(repository.folder, None, NAME).pointing_to(commit, warn=print):
        assert find_ref(clone.folder, NAME, commit).remote == "origin"
        assert find_ref(repository.folder, NAME, commit).remote is None
        with pytest.raises(RefrainError, match="is not known"):
            find_ref(clone.folder, NAME, "0" * 40)
    for name, wrong in (("--upload-pack=x", commit), ("refs/heads/main", commit), (NAME, "HEAD")):
        with pytest.raises(RefrainError, match="is not the state of a run"):
            find_ref(clone.folder, name, wrong)
    run_git(clone.folder, "remote", "set-url", "origin", str(clone.folder / "nowhere"))
    with pytest.raises(TransientError, match="git ls-remote: "):
        find_ref(clone.folder, NAME, commit)


def test_the_remote_that_machines_share(clone: Project) -> None:
    folder = clone.folder
    assert shared_remote(folder, "main") == "origin"
    run_git(folder, "remote", "add", "team", "https://example.org/team")
    assert shared_remote(folder, "main") == "origin"
    run_git(folder, "config", "branch.main.remote", "team")
    assert shared_remote(folder, "main") == "team"
    assert shared_remote(folder, "") == "origin", "no branch is checked out"
    run_git(folder, "remote", "remove", "origin")
    assert shared_remote(folder, "main") == "team", "the only one"
    run_git(folder, "remote", "add", "other", "https://example.org/other")
    with pytest.raises(RefrainError, match=r"which git remote the machines share \(other, team\)"):
        shared_remote(folder, "")
    for name in ("team", "other"):
        run_git(folder, "remote", "remove", name)
    assert shared_remote(folder, "main") is None
