"""Git, by its command line."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import RefrainError, TransientError

REMOTE_COMMANDS = {"fetch", "ls-remote", "push"}
"""Commands that talk to another machine, so that another try may help."""


def run_git(
    folder: Path, *arguments: str, variables: Mapping[str, str] | None = None, stdin: str | None = None
) -> str:
    """Run git in ``folder`` and return what it printed.

    Raises :class:`RefrainError` if it fails; :class:`TransientError` if it failed to reach a remote.
    """
    _check_arguments(arguments)
    result = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **(variables or {})},
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    if result.returncode:
        reason = " ".join((result.stderr or result.stdout or f"status {result.returncode}").split())
        kind = TransientError if arguments[0] in REMOTE_COMMANDS else RefrainError
        raise kind(f"git {arguments[0]}: {reason.removeprefix('error: ')}")
    return result.stdout.strip("\n")


def read_git(folder: Path, *arguments: str, max_bytes: int) -> bytes:
    """Run git in ``folder`` and return the bytes that it printed.

    Raises :class:`RefrainError` if it fails, or prints more than ``max_bytes``. What is too long is not read.
    """
    command = ["git", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        content = process.stdout.read(max_bytes + 1)
        if len(content) > max_bytes:
            process.kill()
    if len(content) > max_bytes:
        raise RefrainError(f"git {arguments[0]}: it gives more than {max_bytes >> 20} MB")
    if process.returncode:
        raise RefrainError(f"git {arguments[0]}: there is nothing to read at {arguments[-1]}")
    return content


def succeeds(folder: Path, *arguments: str) -> bool:
    """Whether a git command succeeds in ``folder``."""
    _check_arguments(arguments)
    return not subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False).returncode


def repository_root(folder: Path) -> Path:
    """The top folder of the checkout that holds ``folder``."""
    return Path(run_git(folder, "rev-parse", "--show-toplevel"))


def common_git_folder(folder: Path) -> Path:
    """The ``.git`` that all worktrees of a repository share."""
    return Path(run_git(folder, "rev-parse", "--path-format=absolute", "--git-common-dir"))


def upstream_of(folder: Path, branch: str) -> tuple[str, str] | None:
    """The remote, and the remote's branch, that ``branch`` follows; None if it follows none."""
    if not succeeds(folder, "config", f"branch.{branch}.merge"):
        return None
    remote = run_git(folder, "config", f"branch.{branch}.remote")
    return remote, run_git(folder, "config", f"branch.{branch}.merge").removeprefix("refs/heads/")


def _check_arguments(arguments: Sequence[str]) -> None:
    """Raise :class:`RefrainError` for what no program can be given. Flows' parameters come from a server."""
    if any("\0" in argument for argument in arguments):
        raise RefrainError(f"git {arguments[0]}: a name contains the character NUL")
