"""What DVC reads, and what it left behind when a disk was full: looked at before DVC runs.

DVC meets these with a message that does not say what to do, or waits for ever.
"""

import json
import os
import stat
import subprocess
import sys
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.params.yaml import parse_yaml

MAX_LOCK_BYTES = 16 << 20
MAX_LOCK_VALUES = 500_000


def remove_damaged_rwlock(folder: Path = Path()) -> None:
    """Delete DVC's ``rwlock`` if it is damaged. It only says which DVC processes are at work.

    DVC would refuse to run for ever. While a process holds the guard, the file is only half-written.
    """
    path = folder / ".dvc" / "tmp" / "rwlock"
    if not path.is_file() or _is_rwlock(path):
        return
    from zc.lockfile import LockError, LockFile  # DVC's own way to lock

    with suppress(LockError):
        guard = LockFile(f"{path}.lock")
        try:
            if not _is_rwlock(path):
                path.unlink()
        finally:
            guard.close()


def parse_lock(content: bytes, name: str) -> Any:
    """The content of a ``dvc.lock`` or ``.dvc`` file that somebody else may have written.

    Raises :class:`RefrainError` if it is too large, too deep, or wrong.
    """
    try:
        return parse_yaml(content.decode(), name, MAX_LOCK_BYTES, MAX_LOCK_VALUES)
    except UnicodeDecodeError:
        raise RefrainError(f"{name}: not UTF-8: check it out again, and check who wrote it") from None


def check_lock_file(path: Path = artifacts.DVC_LOCK) -> None:
    """Raise :class:`RefrainError` if ``dvc.lock`` is damaged: DVC writes it in place."""
    if not path.exists():
        return
    repair = f"run `git checkout {path}`, or delete it: DVC's cache still has the results"
    try:
        content = parse_lock(path.read_bytes(), str(path))
    except RefrainError as error:
        raise RefrainError(f"{error}: {repair}") from None
    stages = content.get("stages") if isinstance(content, dict) and "schema" in content else None
    entries = stages.values() if isinstance(stages, dict) else [None]
    if not all(isinstance(entry, dict) and "cmd" in entry for entry in entries):
        raise RefrainError(f"{path} is damaged: {repair}")


def check_dependency(path: Path) -> None:
    """Raise :class:`RefrainError` if ``path``, or a file in that folder, is one that DVC cannot read.

    DVC reads all of a folder that a stage depends on, also what ``corpus.files`` leaves out, but not what
    .dvcignore names.
    """
    below = (Path(parent, name) for parent, *names in os.walk(path) for name in chain(*names))
    for found in chain([path], below):
        reason = _why_unreadable(found)
        if reason and not _is_ignored(found):
            raise RefrainError(
                f"{found} {reason}, and DVC reads all of corpus.path {path}: move it away, or name it "
                "in .dvcignore"
            )


def _is_rwlock(path: Path) -> bool:
    """Whether a file is what DVC writes: who reads and who writes which path."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        writers, readers = content.get("write", {}).values(), content.get("read", {}).values()
        infos = [*writers, *(info for of_path in readers for info in of_path)]
        return all(isinstance(info["pid"], int) and isinstance(info["cmd"], str) for info in infos)
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return False


def _why_unreadable(path: Path) -> str | None:
    try:
        path.name.encode()
        mode = path.stat().st_mode
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "is no regular file"
    return None if os.access(path, os.R_OK) else "cannot be read (Permission denied)"


def _is_ignored(path: Path) -> bool:
    """Whether .dvcignore names a file."""
    command = [sys.executable, "-m", "dvc", "check-ignore", "--quiet", str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
