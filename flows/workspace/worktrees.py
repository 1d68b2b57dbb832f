"""Worktrees for unattended runs: nobody's own files are touched.

They lie inside ``.git``. Each run makes its own and removes it at the end. The next run clears away what a
killed one left, and goes on from its checkpoints.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dvc.config_schema import RelPath

from flows.workspace.dvc_repo import open_repo
from flows.workspace.git import common_git_folder, repository_root, run_git, succeeds, upstream_of
from flows.workspace.shared_ref import SharedRef
from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.locks import file_lock

RETRAIN = "refrain-retrain"
"""Name of the worktree of ``retrain``, and of its lock."""


@dataclass(frozen=True)
class BranchWorktree:
    """A worktree at ``path``, at the commit ``base`` of ``branch``; ``main`` is the user's own checkout."""

    path: Path
    main: Path
    branch: str
    base: str


@contextmanager
def branch_worktree(folder: Path, branch: str) -> Iterator[BranchWorktree]:
    """A worktree of a branch of the repository that holds ``folder``.

    Raises :class:`RefrainError` if the branch has uncommitted changes, if it and its upstream have diverged,
    or if another run is at work.
    """
    main = repository_root(folder)
    with exclusive_lock(main, RETRAIN):
        base = _commit_to_start_from(main, branch)
        with worktree(main, RETRAIN, base) as path:
            yield BranchWorktree(path, main, branch, base)


@contextmanager
def worktree(main: Path, name: str, commit: str) -> Iterator[Path]:
    """A worktree of a commit.

    It has the user's DVC cache and remotes, and the checkpoints of the last worktree of that name.
    """
    common = common_git_folder(main)
    path, saved = common / name, common / f"{name}-checkpoints"
    _remove(main, path, saved)
    run_git(main, "worktree", "add", "--quiet", "--detach", str(path), commit)
    try:
        if saved.exists():
            shutil.move(saved, path / artifacts.CHECKPOINTS)
        _share_cache(main, path)
        yield path
    finally:
        _remove(main, path, saved)


@contextmanager
def exclusive_lock(main: Path, name: str, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a lock file (:func:`file_lock`).

    If another process holds it, raises :class:`RefrainError`. With ``on_wait``, reports that and waits
    instead.
    """
    path = common_git_folder(main) / f"{name}.lock"

    def busy(_: str) -> None:
        message = f"another run is at work here ({path} is locked)"
        if on_wait is None:
            raise RefrainError(f"{message}: try again when it has ended")
        on_wait(f"{message}: waiting until it ends")

    with file_lock(path, busy):
        yield


def move_branch(tree: BranchWorktree, commit: str) -> None:
    """Move the branch forward to ``commit``. If a checkout has the branch, update its files, too.

    Raises :class:`RefrainError` if the branch has moved since, or if the user's changes are in the way.
    """
    checkout = _checkout_of(tree.main, tree.branch)
    if checkout:
        run_git(checkout, "merge", "--quiet", "--ff-only", commit)
        return
    tip = run_git(tree.main, "rev-parse", f"refs/heads/{tree.branch}")
    if not succeeds(tree.main, "merge-base", "--is-ancestor", tip, commit):
        raise RefrainError(f"branch {tree.branch} has moved during the run: the next run starts from there")
    run_git(tree.main, "update-ref", f"refs/heads/{tree.branch}", commit, tip)


def _commit_to_start_from(main: Path, branch: str) -> str:
    """The branch's own commit, or its upstream's where that is ahead."""
    # Not rev-parse, which takes `main~1` and other expressions for names.
    if not succeeds(main, "show-ref", "--verify", "--quiet", f"refs/heads/{branch}"):
        raise RefrainError(f"there is no branch {branch!r} in {main}: set the flow's parameter branch")
    checkout = _checkout_of(main, branch)
    if checkout and (changed := run_git(checkout, "diff", "--name-only", "HEAD").splitlines()):
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise RefrainError(
            f"branch {branch} has uncommitted changes in {checkout} ({changed[0]}{more}): commit or stash "
            "them"
        )
    ours = run_git(main, "rev-parse", f"refs/heads/{branch}")
    upstream = upstream_of(main, branch)
    if not upstream:
        return ours
    remote, name = upstream
    theirs = SharedRef(main, remote, f"refs/heads/{name}").read()
    if theirs is None or succeeds(main, "merge-base", "--is-ancestor", theirs, ours):
        return ours
    if succeeds(main, "merge-base", "--is-ancestor", ours, theirs):
        return theirs
    raise RefrainError(f"branch {branch} and {remote}/{name} have diverged: merge or rebase one on the other")


def _checkout_of(main: Path, branch: str) -> Path | None:
    """The folder in which ``branch`` is checked out, if there is one."""
    folder = None
    for line in run_git(main, "worktree", "list", "--porcelain").splitlines():
        key, _, value = line.partition(" ")
        if key == "worktree":
            folder = Path(value)
        elif key == "branch" and value == f"refs/heads/{branch}":
            return folder
    return None


def _share_cache(main: Path, path: Path) -> None:
    """Give a worktree the user's DVC cache, and settings that are not in git.

    A remote's relative path means, in the worktree, what it means in the user's folder.
    """
    local = main / ".dvc" / "config.local"
    if local.exists():
        shutil.copy(local, path / ".dvc" / "config.local")
    with open_repo(main) as repo:
        cache = repo.cache.local_cache_dir
    with open_repo(path) as repo:
        relative = {k: v["url"] for k, v in repo.config["remote"].items() if isinstance(v["url"], RelPath)}
        with repo.config.edit("local") as settings:
            settings.setdefault("cache", {})["dir"] = cache
            for name, url in relative.items():
                meant = main / os.path.relpath(url, path)
                settings.setdefault("remote", {}).setdefault(name, {})["url"] = str(meant.resolve())


def _remove(main: Path, path: Path, saved: Path) -> None:
    """Remove a worktree; the checkpoints of a training that was stopped go to ``saved``, for the next run."""
    if (path / artifacts.CHECKPOINTS).exists():
        shutil.rmtree(saved, ignore_errors=True)
        shutil.move(path / artifacts.CHECKPOINTS, saved)
    if path.exists():
        # A killed run may have left a process that still writes to the old path.
        gone = path.with_name(f"{path.name}-gone")
        shutil.rmtree(gone, ignore_errors=True)
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    run_git(main, "worktree", "prune")
