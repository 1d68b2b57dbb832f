"""The files of a text: a single file, a folder, an archive or a URL.

DVC tracks ``corpus.path`` as a whole. If it is a folder or a ``.zip``, ``corpus.files`` selects files inside
it. ``.gz``, ``.bz2`` and ``.xz`` files are decompressed while they are read.
"""

import fnmatch
import gzip
import lzma
import os
import re
import secrets
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import fsspec

from pipeline.errors import RefrainError, TransientError, first_line
from pipeline.params.runtime import MAX_TEXT_BYTES
from pipeline.text.opening import (
    DECOMPRESSORS,
    check_is_regular,
    open_archive,
    open_file,
    open_member,
    suffix_of,
)


@dataclass(frozen=True)
class TextFile:
    """One file of a corpus. ``open`` returns a stream of its decompressed bytes.

    ``name`` is for messages. ``inside`` is its path inside the corpus, or its own name if the corpus is one
    file.

    ``size`` is in bytes: for ``.gz``, ``.bz2`` and ``.xz``, the compressed size; None if it is unknown before
    reading. A ``seekable`` file can be read from any position. Others are downloaded or decompressed, and a
    text may have ``max_bytes`` of these.
    """

    name: str
    inside: str
    open: Callable[[], IO[bytes]]
    size: int | None = None
    seekable: bool = False
    max_bytes: int = MAX_TEXT_BYTES


def find_files(path: str, pattern: str | None, max_bytes: int = MAX_TEXT_BYTES) -> list[TextFile]:
    """The files at ``path`` (see the module), sorted by name.

    ``pattern`` is a shell pattern for paths inside a folder or archive; ``*`` also matches ``/``. Files and
    folders whose names start with a dot are skipped. Files that ``pattern`` leaves out are not looked at.
    """
    path, reading = path.removeprefix("file://"), secrets.token_hex(8)
    with reading_explained(path):
        if suffix_of(path) == ".zip":
            found = _members(path, pattern, max_bytes, reading)
        elif (names := _names_in_folder(path, pattern)) is not None:
            archives = [name for name in names if suffix_of(name) == ".zip"]
            if archives:
                raise RefrainError(
                    f"corpus.path {path}: {archives[0]} is an archive inside a folder: unpack it, or leave "
                    "it out with corpus.files"
                )
            root = path.rstrip("/") + "/"
            found = [_file(name, name.removeprefix(root), max_bytes, reading) for name in names]
        elif pattern:
            raise RefrainError(
                f"corpus.files: {pattern!r} works only with a folder or .zip, "
                f"but corpus.path {path} is neither: set corpus.files to null"
            )
        else:
            found = [_file(path, PurePosixPath(path).name, max_bytes, reading)]
    if not found:
        raise RefrainError(
            f"corpus.path {path}: no file in it matches {pattern!r}: correct corpus.files"
            if pattern
            else f"corpus.path {path}: it contains no files: choose another"
        )
    return found


def _members(path: str, pattern: str | None, max_bytes: int, reading: str) -> list[TextFile]:
    """The members of an archive."""
    place = path if "://" in path else str(Path(path).absolute())  # for processes with another folder
    sizes = {
        info.filename: info.file_size
        for info in open_archive(place, max_bytes, reading).infolist()
        if not info.is_dir() and _is_chosen(info.filename, pattern)
    }
    return [
        TextFile(
            f"{path}: {name}",
            name,
            partial(open_member, place, name, max_bytes, reading),
            sizes[name],
            max_bytes=max_bytes,
        )
        for name in sorted(sizes)
    ]


def _names_in_folder(path: str, pattern: str | None) -> list[str] | None:
    """Paths or URLs of the files in a folder, sorted, or None if ``path`` is none."""
    if "://" not in path:
        if not Path(path).is_dir():
            return None
        return [os.path.join(path, inside) for inside in sorted(_walk(path, pattern))]  # noqa: PTH118
    fs, root = fsspec.url_to_fs(path)
    if "http" in fs.protocol or not fs.isdir(root):
        return None
    inside = (str(PurePosixPath(name).relative_to(root)) for name in fs.find(root))
    return [fs.unstrip_protocol(f"{root}/{name}") for name in sorted(inside) if _is_chosen(name, pattern)]


def _walk(folder: str, pattern: str | None) -> Iterator[str]:
    """Paths inside a local folder of the files that are chosen."""
    # What stands before the first wildcard says into which folders to look.
    start = re.split(r"[*?\[]", pattern or "", maxsplit=1)[0]

    def stop(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(folder, onerror=stop):
        inside = PurePosixPath(parent).relative_to(folder)
        below = {name: f"{inside / name}/" for name in folders if not name.startswith(".")}
        folders[:] = [
            name for name, path in below.items() if path.startswith(start) or start.startswith(path)
        ]
        links = (name for name in folders if Path(parent, name).is_symlink())  # which os.walk does not enter
        yield from (path for name in [*files, *links] if _is_chosen(path := str(inside / name), pattern))


def _is_chosen(inside: str, pattern: str | None) -> bool:
    """Whether a path inside a folder or archive is one of the text's."""
    if any(part.startswith(".") for part in PurePosixPath(inside).parts):
        return False
    # ** stands for any number of folders, including none.
    patterns = [pattern, pattern.removeprefix("**/")] if pattern else ["*"]
    return any(fnmatch.fnmatch(inside, p) for p in patterns)


def _file(path: str, inside: str, max_bytes: int, reading: str) -> TextFile:
    if "://" in path:
        return TextFile(path, inside, partial(open_file, path, max_bytes, reading), max_bytes=max_bytes)
    place = Path(path).absolute()  # for processes with another working directory
    with reading_explained(path):
        size = check_is_regular(place).st_size
    is_plain = suffix_of(path) not in DECOMPRESSORS
    opened = partial(open_file, str(place), max_bytes, reading)
    return TextFile(path, inside, opened, size, is_plain, max_bytes)


@contextmanager
def reading_explained(name: str) -> Iterator[None]:
    """Turn errors while reading ``name`` into one line."""
    damaged = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError)
    try:
        yield
    except RefrainError:
        raise
    except FileNotFoundError:
        raise RefrainError(
            f"corpus.path {name} does not exist: correct it, or fetch a text that `refrain texts` lists"
        ) from None
    except damaged as error:
        raise RefrainError(f"{name}: damaged archive ({first_line(error)}): get the file again") from None
    except Exception as error:
        # Each protocol has its own exceptions, from packages that may not be installed. The block only reads,
        # so any error in it comes from the source.
        kind = TransientError if "://" in name else RefrainError
        raise kind(f"{name}: cannot be read: {first_line(error)}") from error
