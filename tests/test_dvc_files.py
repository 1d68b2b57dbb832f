"""What DVC leaves behind, and what it cannot read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from zc.lockfile import LockFile

from pipeline.dvc_files import check_dependency, check_lock_is_whole, remove_damaged_rwlock
from pipeline.errors import RefrainError
from tests.support.project import Project

DAMAGED = [b"", b"{", b"[]", b"null", b"\xff", b'{"write": 3}', b'{"write": {"/x": {"pid": "a", "cmd": ""}}}']


@pytest.fixture
def rwlock(tmp_path: Path) -> Path:
    path = tmp_path / ".dvc/tmp/rwlock"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("content", [*DAMAGED, b'{"read": {"/x": [3]}}'])
def test_a_damaged_rwlock_is_removed(rwlock: Path, content: bytes) -> None:
    remove_damaged_rwlock(rwlock.parents[2])
    rwlock.write_bytes(content)
    with_guard = LockFile(f"{rwlock}.lock")
    remove_damaged_rwlock(rwlock.parents[2])
    assert rwlock.exists(), "a DVC process is at work"
    with_guard.close()
    remove_damaged_rwlock(rwlock.parents[2])
    assert not rwlock.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b'{"write": {"/x": {"pid": 1, "cmd": "dvc"}}, "read": {"/y": [{"pid": 1, "cmd": "dvc"}]}}',
    ],
)
def test_an_rwlock_of_dvc_stays(rwlock: Path, content: bytes) -> None:
    rwlock.write_bytes(content)
    remove_damaged_rwlock(rwlock.parents[2])
    assert rwlock.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        "",
        "schema: '2.0'\nstages: {a",
        "- a\n",
        "schema: '2.0'\nstages:\n  code:\n",
        "<<<<<<< HEAD\nschema: '2.0'\n",
    ],
)
def test_a_damaged_lock_file_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "dvc.lock"
    check_lock_is_whole(path)
    path.write_text("schema: '2.0'\nstages: {}\n")
    check_lock_is_whole(path)
    path.write_text(content)
    with pytest.raises(RefrainError, match=r"dvc\.lock.*: run `git checkout .*dvc\.lock`, or delete it"):
        check_lock_is_whole(path)


def test_what_dvc_cannot_read_is_named_unless_it_is_ignored(tmp_path: Path) -> None:
    check_dependency(tmp_path, ".")
    (tmp_path / "a.txt").write_text("a")
    check_dependency(tmp_path, ".")
    os.mkfifo(tmp_path / "pipe")
    for path in (".", "pipe", str(tmp_path)):
        with pytest.raises(
            RefrainError, match=r"pipe is no regular file, and DVC reads all of .*\.dvcignore"
        ):
            check_dependency(tmp_path, path)
    (tmp_path / "pipe").unlink()
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff\x1b", os.O_CREAT))
    with pytest.raises(RefrainError, match=r"<U\+DCFF>␛ has a name that is not UTF-8"):
        check_dependency(tmp_path, ".")


@pytest.mark.slow
def test_what_dvcignore_names_may_be_unreadable(project: Project) -> None:
    os.mkfifo(project.folder / "data/raw/pipe")
    with (project.folder / ".dvcignore").open("a") as file:
        file.write("pipe\n")
    check_dependency(project.folder, "data/raw")
    os.mkfifo(project.folder / "data/raw/other")
    with pytest.raises(RefrainError, match="data/raw/other is no regular file"):
        check_dependency(project.folder, "data/raw")


@pytest.mark.slow
def test_a_worktree_inside_git_is_looked_at_too(again: Project) -> None:
    tree = again.folder / ".git/refrain-retrain"
    again.run("git", "worktree", "add", "--quiet", "--detach", str(tree))
    os.mkfifo(tree / "data/raw/pipe")
    with pytest.raises(RefrainError, match="pipe is no regular file"):
        check_dependency(tree, "data/raw")


def test_dvc_gets_a_private_cache_wherever_the_command_is_typed(project: Project) -> None:
    known = {name: value for name, value in os.environ.items() if name != "DVC_SITE_CACHE_DIR"}
    program = "import os, flows; print(os.environ['DVC_SITE_CACHE_DIR'])"
    command = [sys.executable, "-c", program]
    inside = project.folder / "data"
    printed = subprocess.run(
        command, cwd=inside, env=known, capture_output=True, text=True, check=True
    ).stdout
    private = Path(printed.strip())
    assert private == project.folder / ".dvc/tmp/site-cache"
    assert private.stat().st_mode & 0o777 == 0o700
