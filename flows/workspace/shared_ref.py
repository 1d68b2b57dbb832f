"""Git refs that carry the state of a folder to another machine and back.

Each ref that this clone has put somewhere has a file in ``.git/refrain-sent``. The process that put it there
keeps the file locked. The system releases the lock when that process ends, however it ends. So a file that
nobody holds names a ref that nobody needs.
"""

import fcntl
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from flows.workspace.git import common_git_folder, run_git, succeeds, upstream_of
from pipeline.errors import RefrainError

REF_NAME = re.compile(r"refs/refrain/[0-9a-f-]{1,40}/[a-z0-9-]{1,200}")
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


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
        found = self._listed()
        if found is None:
            return None
        # Without FETCH_HEAD and upkeep, fetches of several processes do not get in each other's way.
        quietly = ("--quiet", "--no-write-fetch-head", "--no-auto-maintenance")
        run_git(self.folder, "fetch", *quietly, self.remote, self.name)
        return found

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
        """Delete the ref, if it is there."""
        if self.remote is None:
            run_git(self.folder, "update-ref", "-d", self.name)
        elif self._listed() is not None:
            self._push(f":{self.name}")

    @contextmanager
    def pointing_to(self, commit: str, warn: Callable[[str], None]) -> Iterator[None]:
        """Point the ref to a commit, and delete it however the block ends.

        If that fails, or if this process is killed, :func:`delete_left_refs` does it.
        """
        record = _records(self.folder) / f"{self.name.replace('/', '+')}.json"
        part = record.with_suffix(".part")
        record.parent.mkdir(exist_ok=True)
        with part.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            json.dump({"remote": self.remote, "name": self.name}, file)
            file.flush()
            part.rename(record)  # only now can others see it
            try:
                self.write(commit)
                yield
            finally:
                self._delete_with(record, warn)

    def _delete_with(self, record: Path, warn: Callable[[str], None]) -> None:
        try:
            self.delete()
            record.unlink(missing_ok=True)
        except RefrainError as error:  # must not hide how the block has ended
            warn(f"{self.name} is still on the git remote {self.remote}, until the next run: {error}")

    def _listed(self) -> str | None:
        """The commit that the ref of the remote points to; None if there is no such ref."""
        lines = run_git(self.folder, "ls-remote", str(self.remote), self.name).splitlines()
        # Git lists all refs that end in this name.
        found = [commit for commit, name in (line.split("\t") for line in lines) if name == self.name]
        return found[0] if found else None

    def _push(self, refspec: str, *options: str) -> None:
        # Without hooks: they are for the user's own pushes.
        run_git(self.folder, "push", "--quiet", "--no-verify", *options, str(self.remote), refspec)


def delete_left_refs(folder: Path, warn: Callable[[str], None]) -> None:
    """Delete the refs that killed runs of this clone have left."""
    for record in sorted(_records(folder).glob("*.json")):
        # Missing: another run was faster. Locked: its run is at work.
        with suppress(FileNotFoundError, BlockingIOError), record.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                left = json.load(file)
                ref = SharedRef(folder, left["remote"], left["name"])
            except (ValueError, KeyError, TypeError):
                warn(f"{record} is damaged: a ref of a killed run may still be on a git remote")
                record.unlink(missing_ok=True)
            else:
                ref._delete_with(record, warn)


def _records(folder: Path) -> Path:
    return common_git_folder(folder) / "refrain-sent"


def find_ref(folder: Path, name: str, commit: str) -> SharedRef:
    """The ref of that name at that commit, of this clone or of one of its remotes.

    Raises :class:`RefrainError` if none has it. So only those who can push there decide what runs here.
    """
    if not REF_NAME.fullmatch(name) or not COMMIT.fullmatch(commit):
        raise RefrainError(
            f"{name[:200]!r} at {commit[:80]!r} is not the state of a run: use the same version everywhere"
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
