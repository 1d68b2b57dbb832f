"""A folder's state as a commit on its own git ref, which carries it to another machine and back."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flows.workspace.git import run_git, succeeds, upstream_of
from pipeline.errors import RefrainError

MAX_BYTES = 32 << 20
"""Larger changes are probably a text that does not belong in git."""

REF_NAME = re.compile(r"refs/refrain/[0-9a-f-]+/[a-z0-9-]+")
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")

AUTHOR = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Refrain"), ("EMAIL", "refrain@localhost"))
}
"""The author of commits that exist only during a run, so that machines need no git identity."""


@dataclass(frozen=True)
class SharedRef:
    """The ref ``name`` of a git remote of the repository in ``folder``; without a remote, of that repository.

    Methods raise :class:`RefrainError`, and :class:`TransientError` where the remote cannot be reached.
    """

    folder: Path
    remote: str | None
    name: str

    def read(self) -> str | None:
        """The commit that the ref points to, fetched; None if there is no such ref."""
        if self.remote is None:
            is_there = succeeds(self.folder, "rev-parse", "--verify", "--quiet", self.name)
            return run_git(self.folder, "rev-parse", self.name) if is_there else None
        listed = run_git(self.folder, "ls-remote", self.remote, self.name).splitlines()
        # Git lists all refs that end in this name.
        found = [commit for commit, name in (line.split("\t") for line in listed) if name == self.name]
        if not found:
            return None
        # Without FETCH_HEAD and upkeep, fetches of several processes do not get in each other's way.
        quietly = ("--quiet", "--no-write-fetch-head", "--no-auto-maintenance")
        run_git(self.folder, "fetch", *quietly, self.remote, self.name)
        return found[0]

    def write(self, commit: str) -> None:
        """Point the ref to a commit, whatever it pointed to."""
        if self.remote is None:
            run_git(self.folder, "update-ref", self.name, commit)
        else:
            self._push(f"+{commit}:{self.name}")

    def move(self, old: str, new: str) -> None:
        """Point the ref to the commit ``new``; raise an error if it does not point to ``old`` now."""
        if self.remote is None:
            run_git(self.folder, "update-ref", self.name, new, old)
        else:
            self._push(f"{new}:{self.name}", f"--force-with-lease={self.name}:{old}")

    def delete(self) -> None:
        """Delete the ref."""
        if self.remote is None:
            run_git(self.folder, "update-ref", "-d", self.name)
        else:
            self._push(f":{self.name}")

    @contextmanager
    def pointing_to(self, commit: str, warn: Callable[[str], None]) -> Iterator[None]:
        """Point the ref to a commit, and delete it however the block ends."""
        try:
            self.write(commit)
            yield
        finally:
            try:
                self.delete()
            except RefrainError as error:  # must not hide how the block has ended
                warn(f"{self.name} is still on the git remote {self.remote}: {error}")

    def _push(self, refspec: str, *options: str) -> None:
        # Without hooks: they are for the user's own pushes.
        run_git(self.folder, "push", "--quiet", "--no-verify", *options, str(self.remote), refspec)


def find_ref(folder: Path, name: str, commit: str) -> SharedRef:
    """The ref of that name at that commit, of this clone or of one of its remotes.

    Raises :class:`RefrainError` if none has it. So only those who can push there decide what runs here.
    """
    if not REF_NAME.fullmatch(name) or not COMMIT.fullmatch(commit):
        raise RefrainError(
            f"{name!r} at {commit!r} is not the state of a run: use the same version everywhere"
        )
    unreachable: list[RefrainError] = []
    for remote in [None, *run_git(folder, "remote").split()]:
        ref = SharedRef(folder, remote, name)
        try:
            if ref.read() == commit:
                return ref
        except RefrainError as error:
            unreachable.append(error)
    if unreachable:
        raise unreachable[0]
    raise RefrainError(
        f"the run's state is not known on this stage's machine, {folder}: add the git remote that the run "
        "pushes to, with `git remote add`"
    )


def shared_remote(folder: Path, branch: str) -> str | None:
    """The git remote by which machines share states; None if there are no remotes.

    It is the remote of the branch's upstream, else origin, else the only one. Raises :class:`RefrainError` if
    it is not clear which one is meant.
    """
    remotes = run_git(folder, "remote").split()
    upstream = upstream_of(folder, branch) if branch else None
    if upstream and upstream[0] in remotes:
        return upstream[0]
    if "origin" in remotes:
        return "origin"
    if len(remotes) > 1:
        raise RefrainError(
            f"pools: it is not clear which git remote the machines share ({', '.join(remotes)}): set the "
            "branch's upstream with `git branch --set-upstream-to`"
        )
    return remotes[0] if remotes else None


def commit_folder(folder: Path, untracked: Collection[str], left_out: Collection[str], message: str) -> str:
    """Commit what is in a checkout's folder, and return the commit. No branch and no index changes.

    The commit has all files that git tracks, as they are now. It also has files that git neither tracks nor
    ignores, if they are at or below the paths ``untracked``, and not at or below those ``left_out``.

    Raises :class:`RefrainError` if there is more than MAX_BYTES to add.
    """
    with tempfile.TemporaryDirectory() as temporary:
        index = Path(temporary) / "index"
        # copy2 keeps the index's time: git re-reads all files that are not older than its index.
        shutil.copy2(run_git(folder, "rev-parse", "--path-format=absolute", "--git-path", "index"), index)
        variables = {**AUTHOR, "GIT_INDEX_FILE": str(index), "GIT_LITERAL_PATHSPECS": "1"}
        run = partial(run_git, folder, variables=variables)
        changed = run("ls-files", "-z", "--modified").split("\0")
        new = run("ls-files", "-z", "--others", "--exclude-standard", "--", *untracked).split("\0")
        names = [*filter(None, changed), *(name for name in new if name and not _is_below(name, left_out))]
        size = sum(path.lstat().st_size for path in map(folder.joinpath, names) if path.is_file())
        if size > MAX_BYTES:
            raise RefrainError(
                f"pools: the folder differs from its commit by {size >> 20} MB: commit that, or `dvc add` "
                "what is large and stages read, and have git ignore the rest"
            )
        run("update-index", "-z", "--add", "--remove", "--replace", "--stdin", stdin="\0".join(names))
        run("update-index", "-z", "--index-info", stdin=_as_they_are(folder, names))
        return run("commit-tree", run("write-tree"), "-p", "HEAD", "-m", message)


def _as_they_are(folder: Path, names: Collection[str]) -> str:
    """Lines for git's index that hold files byte by byte, without filters such as that for line ends.

    DVC's digests are those of the bytes in the folder.
    """
    files = [name for name in names if (folder / name).is_file() and not (folder / name).is_symlink()]
    digests = run_git(
        folder, "hash-object", "-w", "--no-filters", "--stdin-paths", stdin="\n".join(files)
    ).split()
    modes = (755 if os.access(folder / name, os.X_OK) else 644 for name in files)
    return "".join(f"100{m} {d}\t{name}\0" for m, d, name in zip(modes, digests, files, strict=True))


def restore_files(folder: Path, commit: str, paths: Collection[str]) -> None:
    """Write files or folders of a commit into a checkout's folder. No index changes."""
    with tempfile.TemporaryDirectory() as temporary:
        # Not the user's own index, which their git may have locked just now.
        variables = {"GIT_INDEX_FILE": str(Path(temporary) / "index"), "GIT_LITERAL_PATHSPECS": "1"}
        run_git(folder, "restore", f"--source={commit}", "--worktree", "--", *paths, variables=variables)


def _is_below(name: str, paths: Collection[str]) -> bool:
    return any(Path(name).is_relative_to(path) for path in paths)
