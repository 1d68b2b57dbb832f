"""The files of a text: a single file, a folder, an archive or a URL.

DVC tracks ``corpus.path`` as a whole. If it is a folder or a ``.zip``, ``corpus.files`` selects files inside
it. ``.gz``, ``.bz2`` and ``.xz`` files are decompressed while they are read.
"""

import fnmatch
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.zip import ZipFileSystem

from pipeline.errors import RefrainError, TransientError, first_line

COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz"}


@dataclass(frozen=True)
class TextFile:
    """One file of a corpus. ``name`` is for messages; ``open`` returns a stream of its decompressed bytes.

    ``size`` is in bytes: for ``.gz``, ``.bz2`` and ``.xz``, the compressed size; None if it is unknown before
    reading. A ``seekable`` file can be read from any position.
    """

    name: str
    open: Callable[[], IO[bytes]]
    size: int | None = None
    seekable: bool = False


def find_files(path: str, pattern: str | None) -> list[TextFile]:
    """The files at ``path`` (see the module), sorted by name.

    ``pattern`` is a shell pattern for paths inside a folder or archive; ``*`` also matches ``/``. Files and
    folders whose names start with a dot are skipped.
    """
    with reading_explained(path):
        fs, root = fsspec.url_to_fs(path)
        if _suffix(path) == ".zip":
            archive = ZipFileSystem(fo=_local(path))
            found = [
                TextFile(f"{path}: {name}", partial(archive.open, name), archive.info(name)["size"])
                for name in _chosen(archive.find(""), "", pattern)
            ]
        elif "http" not in fs.protocol and fs.isdir(root):
            names = _chosen(fs.find(root), root, pattern)
            archives = [name for name in names if _suffix(name) == ".zip"]
            if archives:
                raise RefrainError(
                    f"corpus.path {path}: {archives[0]} is an archive inside a folder: unpack it, or leave "
                    "it out with corpus.files"
                )
            found = [_file(fs.unstrip_protocol(name)) for name in names]
        elif pattern:
            raise RefrainError(
                f"corpus.files: {pattern!r} works only with a folder or .zip, "
                f"but corpus.path {path} is neither: set corpus.files to null"
            )
        else:
            if "http" not in fs.protocol and not fs.exists(root):
                raise FileNotFoundError
            found = [_file(path)]
    if not found:
        raise RefrainError(
            f"corpus.path {path}: no file in it matches {pattern!r}: correct corpus.files"
            if pattern
            else f"corpus.path {path}: it contains no files: choose another"
        )
    return found


def _chosen(names: list[str], root: str, pattern: str | None) -> list[str]:
    def wanted(name: str) -> bool:
        inside = PurePosixPath(name).relative_to(root)
        hidden = any(part.startswith(".") for part in inside.parts)
        # ** stands for any number of folders, including none.
        patterns = [pattern, pattern.removeprefix("**/")] if pattern else ["*"]
        return not hidden and any(fnmatch.fnmatch(str(inside), p) for p in patterns)

    return sorted(filter(wanted, names))


def _file(url: str) -> TextFile:
    name = url.removeprefix("file://")
    if "://" in name:
        return TextFile(name, partial(_open, url))
    path = Path(name).absolute()  # for processes with another working directory
    with reading_explained(name):
        size = path.stat().st_size
    return TextFile(name, partial(_open, str(path)), size, seekable=_suffix(name) not in COMPRESSIONS)


def _suffix(path: str) -> str:
    """The suffix of a path or URL in lower case, ignoring the query of a URL."""
    return PurePosixPath(urlsplit(path).path if "://" in path else path).suffix.lower()


def _open(url: str) -> IO[bytes]:
    # Download a remote file completely before reading it, so that a lost connection is one error.
    cached = f"simplecache::{url}" if "://" in url else url
    stream: IO[bytes] = fsspec.open(cached, "rb", compression=COMPRESSIONS.get(_suffix(url))).open()
    return stream


def _local(path: str) -> str:
    return str(Path(path).absolute()) if Path(path).exists() else fsspec.open_local(f"simplecache::{path}")


@contextmanager
def reading_explained(name: str) -> Iterator[None]:
    """Turn errors while reading ``name`` into one line."""
    damaged = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError)
    try:
        yield
    except RefrainError:
        raise
    except FileNotFoundError:
        if "://" in name:  # fsspec does not give the reason
            raise TransientError(
                f"corpus.path {name}: it does not exist, the server refuses it, or there is no connection: "
                "check the URL, or try again"
            ) from None
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
