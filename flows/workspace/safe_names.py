"""Names of files that come from other machines: only those that stay below the folder they are meant for."""

import re
import unicodedata
from collections.abc import Collection

from pipeline.errors import RefrainError

MAX_NAME_BYTES = 4096
"""Length of the longest name that Linux takes."""

GIT_AND_DVC = re.compile(r"(\.git|git~[0-9]|\.dvc)[ .]*(:.*)?", re.IGNORECASE)
"""Folders of git's and DVC's own, also as Windows spells them: ``.GIT``, ``git~1``, ``.git.``, ``.git:x``."""


def check_names(names: Collection[object], where: str) -> None:
    """Raise :class:`RefrainError` unless all names are different, relative, plain names of files.

    ``where`` says in the message what contains them.
    """
    files: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not _is_plain(name):
            raise RefrainError(
                f"{where}: the name {_shown(name)} may reach outside its folder: check who wrote it"
            )
        if name in files:
            raise RefrainError(f"{where}: the name {_shown(name)} is there twice: check who wrote it")
        files.add(name)
    for name in files:
        parts = name.split("/")
        folders = ("/".join(parts[:end]) for end in range(1, len(parts)))
        if not files.isdisjoint(folders):
            raise RefrainError(f"{where}: {_shown(name)} is below a name that is a file: check who wrote it")


def _is_plain(name: str) -> bool:
    if "\\" in name or any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return False
    if len(name.encode()) > MAX_NAME_BYTES or re.match("[A-Za-z]:", name):
        return False
    return all(map(_is_plain_part, name.split("/")))


def _is_plain_part(part: str) -> bool:
    # macOS ignores characters without a width in names, and compares the rest without case.
    visible = "".join(c for c in part if unicodedata.category(c) != "Cf")
    return part not in ("", ".", "..") and not GIT_AND_DVC.fullmatch(unicodedata.normalize("NFKC", visible))


def _shown(name: object) -> str:
    """A name for a message: short, ASCII, without control characters."""
    return ascii(name)[:100] if isinstance(name, str) else f"of type {type(name).__name__}"
