"""Worktrees for unattended runs, without Prefect and without stages."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from flows.workspace.git import run_git
from flows.workspace.worktrees import branch_worktree, move_branch
from pipeline.errors import RefrainError
from tests.support.project import ROOT, Project


@pytest.fixture
def repository(new_project: Callable[[str], Project]) -> Project:
    return new_project("repository")


def commit_in(path: Path, name: str) -> str:
    (path / name).write_text(name)
    run_git(path, "add", name)
    run_git(path, "commit", "-q", "-m", name)
    return run_git(path, "rev-parse", "HEAD")


def test_users_files_are_not_touched_and_the_branch_moves_when_told(repository: Project) -> None:
    (repository.folder / "mine.txt").write_text("not in git")
    with branch_worktree(repository.folder, "main") as tree:
        assert not (tree.path / "mine.txt").exists()
        new = commit_in(tree.path, "new.txt")
        assert run_git(repository.folder, "rev-parse", "main") == tree.base
        move_branch(tree, new)
    assert run_git(repository.folder, "rev-parse", "main") == new
    assert (repository.folder / "new.txt").exists()
    assert (repository.folder / "mine.txt").read_text() == "not in git"
    assert not tree.path.exists()
    assert len(run_git(repository.folder, "worktree", "list").splitlines()) == 1


def test_branch_that_is_not_checked_out_moves_too_unless_it_has_moved(repository: Project) -> None:
    run_git(repository.folder, "switch", "-q", "-c", "work")
    with branch_worktree(repository.folder, "main") as tree:
        move_branch(tree, commit_in(tree.path, "one.txt"))
    assert run_git(repository.folder, "show", "main:one.txt") == "one.txt"
    with branch_worktree(repository.folder, "main") as tree:
        new = commit_in(tree.path, "two.txt")
        commit_in(repository.folder, "three.txt")
        run_git(repository.folder, "branch", "-f", "main", "work")
        with pytest.raises(RefrainError, match="branch main has moved during the run"):
            move_branch(tree, new)


def test_dirty_branch_stops_it(repository: Project) -> None:
    (repository.folder / "params.yaml").write_text("changed")
    message = r"main has uncommitted changes in .* \(params.yaml\): commit or stash them"
    with pytest.raises(RefrainError, match=message):
        branch_worktree(repository.folder, "main").__enter__()
    run_git(repository.folder, "switch", "-q", "-c", "work")
    with branch_worktree(repository.folder, "main"):
        pass  # the changes belong to another branch


def test_unknown_branch_is_one_line(repository: Project) -> None:
    with pytest.raises(RefrainError, match="there is no branch 'trunk'"):
        branch_worktree(repository.folder, "trunk").__enter__()


def test_upstream_ahead_is_where_it_starts_and_diverged_stops_it(repository: Project, tmp_path: Path) -> None:
    run_git(tmp_path, "clone", "-q", "--bare", str(repository.folder), "origin.git")
    run_git(tmp_path, "clone", "-q", "origin.git", "other")
    run_git(repository.folder, "remote", "add", "origin", str(tmp_path / "origin.git"))
    run_git(repository.folder, "fetch", "-q", "origin")
    run_git(repository.folder, "branch", "-q", "-u", "origin/main")
    theirs = commit_in(tmp_path / "other", "theirs.txt")
    run_git(tmp_path / "other", "push", "-q")
    with branch_worktree(repository.folder, "main") as tree:
        assert tree.base == theirs
    commit_in(repository.folder, "ours.txt")
    with pytest.raises(RefrainError, match="branch main and origin/main have diverged: merge or rebase"):
        branch_worktree(repository.folder, "main").__enter__()


HOLD = """
import sys, time
from pathlib import Path
from flows.workspace.worktrees import branch_worktree
with branch_worktree(Path(sys.argv[1]), "main") as tree:
    (tree.path / ".checkpoints").mkdir()
    (tree.path / ".checkpoints/gru.safetensors").write_text("half way")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_two_runs_never_overlap_and_a_killed_one_does_not_stop_the_next(repository: Project) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(repository.folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(RefrainError, match="another run is at work here"):
        branch_worktree(repository.folder, "main").__enter__()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(0.1)
    with branch_worktree(repository.folder, "main") as tree:
        saved = tree.path / ".checkpoints/gru.safetensors"
        assert saved.read_text() == "half way", "the next run goes on from its checkpoints"


def test_a_stopped_run_leaves_its_checkpoints_to_the_next(repository: Project) -> None:
    with suppress(KeyboardInterrupt), branch_worktree(repository.folder, "main") as tree:
        (tree.path / ".checkpoints").mkdir()
        (tree.path / ".checkpoints/gru.safetensors").write_text("half way")
        raise KeyboardInterrupt
    assert not tree.path.exists()
    with branch_worktree(repository.folder, "main") as tree:
        assert (tree.path / ".checkpoints/gru.safetensors").read_text() == "half way"
