"""Opening the files of a text: local or behind a URL, compressed, or members of an archive.

A remote file is downloaded completely before it is read, so that a lost connection is one error. The download
has no name in the file system, so it is gone when its process ends, however that happens.
"""

import bz2
import gzip
import io
import lzma
import os
import stat
import tempfile
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from pipeline.errors import RefrainError, TransientError, first_line
from pipeline.text.download import download

DECOMPRESSORS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""Functions that open a compressed file, given its path or its stream."""


class _Reader(io.RawIOBase):
    """Reads an open file from its start. Any number of readers share a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._position = file, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into ``buffer`` and return their number."""
        count = os.preadv(self._file.fileno(), [buffer], self._position)
        self._position += count
        return count


def suffix_of(path: str) -> str:
    """The suffix of a path or URL in lower case, ignoring the query of a URL."""
    return PurePosixPath(urlsplit(path).path if "://" in path else path).suffix.lower()


def check_is_regular(path: Path) -> os.stat_result:
    """A file's status. Raise :class:`RefrainError` for FIFOs, devices, sockets: they wait or never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise RefrainError(f"{path} is no regular file: move it away, or leave it out with corpus.files")
    return status


def open_file(path: str, max_bytes: int, reading: str) -> IO[bytes]:
    """A stream of a file's decompressed bytes. At a URL, it may have at most ``max_bytes``.

    ``reading`` names one reading of a text: a process that lives on downloads the file again for the next.
    """
    decompress = DECOMPRESSORS.get(suffix_of(path))
    if "://" not in path:
        check_is_regular(Path(path))
        return decompress(path, "rb") if decompress else Path(path).open("rb")
    stream = io.BufferedReader(_Reader(_downloaded(path, max_bytes, reading)))
    return decompress(stream, "rb") if decompress else stream


def open_member(path: str, name: str, max_bytes: int, reading: str) -> IO[bytes]:
    """A stream of the bytes of an archive's member ``name``."""
    return open_archive(path, max_bytes, reading).open(name)


@lru_cache(1)
def open_archive(path: str, max_bytes: int, reading: str) -> zipfile.ZipFile:
    """The ``.zip`` at a path or URL, once for each ``reading`` (see :func:`open_file`)."""
    if "://" in path:
        return zipfile.ZipFile(_downloaded(path, max_bytes, reading))
    check_is_regular(Path(path))
    return zipfile.ZipFile(path)


@lru_cache(1)
def _downloaded(url: str, max_bytes: int, _reading: str) -> IO[bytes]:
    """The file at ``url``, open. Raise :class:`TransientError` if it cannot be had."""
    import requests  # only here: it takes a tenth of a second to load

    file = tempfile.TemporaryFile()  # noqa: SIM115 (it stays open as long as somebody reads it)
    try:
        download(url, file, max_bytes, Path(tempfile.gettempdir()))
    except (FileNotFoundError, requests.RequestException) as error:
        file.close()
        raise TransientError(
            f"corpus.path {url}: it does not exist, the server refuses it, or there is no connection "
            f"({first_line(error)}): check the URL, or try again"
        ) from None
    return file
