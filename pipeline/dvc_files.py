"""What DVC reads, and what it left behind when a disk was full: looked at before DVC runs.

DVC meets these with a message that does not say what to do, or waits for ever.
"""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterable
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


def check_lock_is_whole(path: Path = artifacts.DVC_LOCK) -> None:
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


def check_dependency(folder: Path, path: str) -> None:
    """Raise :class:`RefrainError` if ``path``, or a file in that folder, is one that DVC cannot read.

    ``path`` is as params.yaml has it, seen from the project's ``folder``. DVC reads all of a folder that a
    stage depends on, also what ``corpus.files`` leaves out, but not what .dvcignore names.
    """
    top = folder / path
    below = (Path(parent, name) for parent, *names in os.walk(top) for name in chain(*names))
    reasons = {found: reason for found in chain([top], below) if (reason := _why_unreadable(found))}
    for found in _not_ignored(folder, reasons):
        raise RefrainError(
            f"{found} {reasons[found]}, and DVC reads all of corpus.path {path}: move it away, or name it "
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


def _not_ignored(folder: Path, paths: Iterable[Path]) -> list[Path]:
    """Those paths that the project's .dvcignore does not name."""
    names = {os.path.relpath(path, folder): path for path in paths}
    if not names:
        return []
    result = subprocess.run(
        [sys.executable, "-m", "dvc", "check-ignore", "--stdin"],
        cwd=folder,
        input="".join(f"{name}\n" for name in names),
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    ignored = set(result.stdout.splitlines())
    return [path for name, path in names.items() if name not in ignored]


def use_private_cache() -> None:
    """Have DVC keep its index of files in the project that the current folder is in.

    DVC's own default is a folder that everybody may write to, and DVC unpickles what it finds there. A
    DVC_SITE_CACHE_DIR that is set already stays.
    """
    here = Path.cwd()
    project = next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), None)
    if "DVC_SITE_CACHE_DIR" in os.environ or project is None:
        return
    private = project / ".dvc" / "tmp" / "site-cache"
    os.environ["DVC_SITE_CACHE_DIR"] = str(private)
    with suppress(OSError):  # DVC will say what is wrong with the folder
        private.parent.mkdir(exist_ok=True)
        private.mkdir(mode=0o700, exist_ok=True)
