"""Where the text is: a file, a folder, an archive or a URL.

``corpus.path`` names one thing, which DVC watches as a whole; ``corpus.files`` chooses among the files
inside it when it is a folder or a ``.zip``. ``.gz``, ``.bz2`` and ``.xz`` are unpacked while reading.
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
    """One file of a corpus: ``name`` for messages, ``open`` gives its bytes, unpacked.

    ``size`` in bytes, of a packed file as it is stored, is None where it is not known without reading. Files
    that are ``seekable`` can be read from any place.
    """

    name: str
    open: Callable[[], IO[bytes]]
    size: int | None = None
    seekable: bool = False


def find_files(path: str, pattern: str | None) -> list[TextFile]:
    """The files at ``path`` (see the module), in the order of their names.

    ``pattern`` is a shell pattern matched against paths inside a folder or archive; ``*`` also
    matches ``/``. Names that begin with a dot are passed over.
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
                f"corpus.files: {pattern!r} chooses among the files of a folder or .zip, "
                f"and corpus.path {path} is neither: set it to null"
            )
        else:
            if "http" not in fs.protocol and not fs.exists(root):
                raise FileNotFoundError
            found = [_file(path)]
    if not found:
        raise RefrainError(
            f"corpus.path {path}: no file in it matches {pattern!r}: mend corpus.files"
            if pattern
            else f"corpus.path {path}: there is no file in it"
        )
    return found


def _chosen(names: list[str], root: str, pattern: str | None) -> list[str]:
    def wanted(name: str) -> bool:
        inside = PurePosixPath(name).relative_to(root)
        hidden = any(part.startswith(".") for part in inside.parts)
        # ** stands for any folders, also for none.
        patterns = [pattern, pattern.removeprefix("**/")] if pattern else ["*"]
        return not hidden and any(fnmatch.fnmatch(str(inside), p) for p in patterns)

    return sorted(filter(wanted, names))


def _file(url: str) -> TextFile:
    name = url.removeprefix("file://")
    if "://" in name:
        return TextFile(name, partial(_open, url))
    path = Path(name).absolute()  # for processes that work elsewhere
    with reading_explained(name):
        size = path.stat().st_size
    return TextFile(name, partial(_open, str(path)), size, seekable=_suffix(name) not in COMPRESSIONS)


def _suffix(path: str) -> str:
    """The ending of a path or URL, without what follows a question mark, in lower case."""
    return PurePosixPath(urlsplit(path).path if "://" in path else path).suffix.lower()


def _open(url: str) -> IO[bytes]:
    # A remote file is downloaded whole before it is read, so that a lost connection is one error.
    cached = f"simplecache::{url}" if "://" in url else url
    stream: IO[bytes] = fsspec.open(cached, "rb", compression=COMPRESSIONS.get(_suffix(url))).open()
    return stream


def _local(path: str) -> str:
    return str(Path(path).absolute()) if Path(path).exists() else fsspec.open_local(f"simplecache::{path}")


@contextmanager
def reading_explained(name: str) -> Iterator[None]:
    """Turn what can go wrong while reading ``name`` into one line."""
    damaged = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError)
    try:
        yield
    except RefrainError:
        raise
    except FileNotFoundError:
        if "://" in name:  # whatever the server's reason was, this is all that fsspec tells
            raise TransientError(
                f"corpus.path {name}: nothing is there, the server refuses it, or there is no connection"
            ) from None
        raise RefrainError(
            f"corpus.path {name}: nothing is there; `refrain texts` shows texts to fetch"
        ) from None
    except damaged as error:
        raise RefrainError(f"{name}: damaged archive ({first_line(error)}): get the file again") from None
    except Exception as error:
        # Each protocol has exceptions of its own, from packages that may not be installed. The block only
        # reads, so whatever goes wrong in it is the source's fault.
        kind = TransientError if "://" in name else RefrainError
        raise kind(f"{name}: cannot be read: {first_line(error)}") from error
