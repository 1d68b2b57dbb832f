"""Worktrees for unattended runs: nobody's own files are touched.

They lie inside ``.git``, are made anew for each run and removed after it. What a killed run left is cleared
away by the next one, which goes on from its checkpoints.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dvc.config_schema import RelPath
from dvc.repo import Repo

from flows.git import git, succeeds
from pipeline import artifacts
from pipeline.errors import RefrainError

NAME = "refrain-retrain"


@dataclass(frozen=True)
class Tree:
    """A worktree at ``path``, at commit ``base`` of ``branch``; ``main`` is the user's own."""

    path: Path
    main: Path
    branch: str
    base: str


@contextmanager
def worktree(folder: Path, branch: str) -> Iterator[Tree]:
    """A worktree of ``branch`` of the repository that holds ``folder``, with its DVC outputs.

    Raises :class:`RefrainError` if the branch has changes that are not committed, or commits that its
    upstream does not know beside some that it does not have, or if another run is at work.
    """
    main = root(folder)
    with alone(main, NAME):
        base = _tip(main, branch)
        with checked_out(main, NAME, base) as path:
            yield Tree(path, main, branch, base)


def root(folder: Path) -> Path:
    """The folder of the repository that holds ``folder``."""
    return Path(git(folder, "rev-parse", "--show-toplevel"))


@contextmanager
def checked_out(main: Path, name: str, commit: str) -> Iterator[Path]:
    """A worktree of a commit, with the user's DVC cache and remotes and the checkpoints of the last one."""
    common = _common(main)
    path, saved = common / name, common / f"{name}-checkpoints"
    _remove(main, path, saved)
    git(main, "worktree", "add", "--quiet", "--detach", str(path), commit)
    try:
        if saved.exists():
            shutil.move(saved, path / artifacts.CHECKPOINTS)
        _share_cache(main, path)
        yield path
    finally:
        _remove(main, path, saved)


@contextmanager
def alone(main: Path, name: str, wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a lock that the system lets go of when this process ends, however it ends.

    If another one has it: raises :class:`RefrainError`, or tells ``wait`` and waits.
    """
    path = _common(main) / f"{name}.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy = f"another run is at work here ({path} is locked)"
            if wait is None:
                raise RefrainError(busy) from None
            wait(f"{busy}: waiting for its end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _common(main: Path) -> Path:
    return Path(git(main, "rev-parse", "--path-format=absolute", "--git-common-dir"))


def land(tree: Tree, commit: str) -> None:
    """Move the branch forward to ``commit``.

    Raises :class:`RefrainError` if the branch has moved since, or the user's changes are in the way.
    """
    checkout = _checkout(tree.main, tree.branch)
    if checkout:
        git(checkout, "merge", "--quiet", "--ff-only", commit)
    else:
        tip = git(tree.main, "rev-parse", f"refs/heads/{tree.branch}")
        if not succeeds(tree.main, "merge-base", "--is-ancestor", tip, commit):
            raise RefrainError(f"branch {tree.branch} has moved during the run: the next run begins there")
        git(tree.main, "update-ref", f"refs/heads/{tree.branch}", commit, tip)


def upstream(main: Path, branch: str) -> tuple[str, str] | None:
    """The remote and the remote's branch that ``branch`` follows, if any."""
    if not succeeds(main, "config", f"branch.{branch}.merge"):
        return None
    remote = git(main, "config", f"branch.{branch}.remote")
    return remote, git(main, "config", f"branch.{branch}.merge").removeprefix("refs/heads/")


def _tip(main: Path, branch: str) -> str:
    """The commit to start from: the branch's own, or its upstream's where that is ahead."""
    if not succeeds(main, "rev-parse", "--verify", f"refs/heads/{branch}"):
        raise RefrainError(f"there is no branch {branch!r} in {main}: set the flow's parameter branch")
    checkout = _checkout(main, branch)
    if checkout and git(checkout, "status", "--porcelain", "--untracked-files=no"):
        raise RefrainError(f"branch {branch} has uncommitted changes in {checkout}: commit or stash them")
    ours = git(main, "rev-parse", f"refs/heads/{branch}")
    following = upstream(main, branch)
    if not following:
        return ours
    remote, name = following
    git(main, "fetch", "--quiet", remote, name)
    theirs = git(main, "rev-parse", "FETCH_HEAD")
    if succeeds(main, "merge-base", "--is-ancestor", theirs, ours):
        return ours
    if succeeds(main, "merge-base", "--is-ancestor", ours, theirs):
        return theirs
    raise RefrainError(f"branch {branch} and {remote}/{name} have diverged: merge or rebase one on the other")


def _checkout(main: Path, branch: str) -> Path | None:
    """The folder in which ``branch`` is checked out, if there is one."""
    folder = None
    for line in git(main, "worktree", "list", "--porcelain").splitlines():
        key, _, value = line.partition(" ")
        if key == "worktree":
            folder = Path(value)
        elif key == "branch" and value == f"refs/heads/{branch}":
            return folder
    return None


def _share_cache(main: Path, path: Path) -> None:
    """The worktree takes the user's DVC cache, and settings that are not in git.

    Paths of remotes that DVC would see from the worktree are meant as seen from the user's folder.
    """
    local = main / ".dvc" / "config.local"
    if local.exists():
        shutil.copy(local, path / ".dvc" / "config.local")
    with Repo(str(main)) as repo:
        cache = repo.cache.local_cache_dir
    with Repo(str(path)) as repo:
        relative = {k: v["url"] for k, v in repo.config["remote"].items() if isinstance(v["url"], RelPath)}
        with repo.config.edit("local") as settings:
            settings.setdefault("cache", {})["dir"] = cache
            for name, url in relative.items():
                meant = main / os.path.relpath(url, path)
                settings.setdefault("remote", {}).setdefault(name, {})["url"] = str(meant.resolve())


def _remove(main: Path, path: Path, saved: Path) -> None:
    """Remove the worktree; a stopped training's checkpoints are ``saved`` for the next run."""
    if (path / artifacts.CHECKPOINTS).exists():
        shutil.rmtree(saved, ignore_errors=True)
        shutil.move(path / artifacts.CHECKPOINTS, saved)
    if path.exists():
        # What a killed run left running may still write where it was.
        gone = path.with_name(f"{path.name}-gone")
        shutil.rmtree(gone, ignore_errors=True)
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    git(main, "worktree", "prune")
