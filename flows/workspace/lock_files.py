"""What ``dvc.lock`` and ``*.dvc`` files say, checked before DVC makes paths of it.

DVC looks for data at a path made of their digest, and deletes there what does not match. So a digest such as
``25/../../../secret.txt`` would reach outside the project.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from flows.workspace.git import run_git
from flows.workspace.safe_names import check_names
from pipeline.artifacts import DVC_LOCK
from pipeline.dvc_files import parse_lock
from pipeline.errors import RefrainError

DIGEST = re.compile(r"[0-9a-f]{32}(\.dir)?")


def check_digests_in_lock_files(folder: Path) -> None:
    """Check ``dvc.lock`` and all lock and ``.dvc`` files that git tracks in a checkout.

    Raises :class:`RefrainError` that names the first file with a wrong digest, and its line.
    """
    patterns = (f"*{DVC_LOCK.name}", "*.dvc")
    tracked = run_git(folder, "ls-files", "-z", "--", *patterns).split("\0")
    for name in sorted({DVC_LOCK.name, *filter(None, tracked)}):
        path = folder / name
        if path.is_file():
            _check_content(path.read_bytes(), name)


@lru_cache
def _check_content(content: bytes, name: str) -> None:
    check_digests(parse_lock(content, name), name)


def check_digests(lock: object, name: str) -> None:
    """Raise :class:`RefrainError` if a digest in a parsed lock file could be more than a digest."""
    for items in _outputs_and_dependencies(lock):
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise RefrainError(f"{name}: it has no list of files where one should be: check who wrote it")
        for item in items:
            _check_item(item, name)


def _outputs_and_dependencies(lock: object) -> Iterator[object]:
    """What stands under ``outs`` and ``deps``, in a ``.dvc`` file, or in each entry of a ``dvc.lock``."""
    if not isinstance(lock, dict):
        return
    stages = lock.get("stages", lock)
    entries = [lock, *(stages.values() if isinstance(stages, dict) else [])]
    for entry in entries:
        if isinstance(entry, dict):
            yield from (entry[key] for key in ("outs", "deps") if entry.get(key) is not None)


def _check_item(item: dict[object, object], name: str) -> None:
    """Check an output or a dependency, and the files of a folder whose listing is in the lock file itself."""
    files = item.get("files") or []
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise RefrainError(f"{name}: it has no list of files where one should be: check who wrote it")
    clouds = [each["cloud"] for each in (item, *files) if isinstance(each.get("cloud"), dict)]
    versions = [version for cloud in clouds for version in cloud.values() if isinstance(version, dict)]
    for values in (item, *files, *versions):
        digest = values.get("md5")
        is_digest = digest is None or (isinstance(digest, str) and DIGEST.fullmatch(digest))
        if not is_digest or values.get("hash", "md5") != "md5":
            raise RefrainError(
                f"{name}: {ascii(item.get('path'))[:100]}: wrong digest {ascii(digest)[:100]}: "
                "check it out again, and check who wrote it"
            )
    check_names([file.get("relpath") for file in files], name)
