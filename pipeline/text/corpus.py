"""Raw text from anywhere: a file, a folder, an archive or a URL, read in chunks.

``corpus.path`` names one thing, which DVC watches as a whole; ``corpus.files`` chooses among the files
inside it when it is a folder or a ``.zip``. ``.gz``, ``.bz2`` and ``.xz`` are unpacked while reading.
"""

import codecs
import fnmatch
import gzip
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.zip import ZipFileSystem

from pipeline.errors import MayPassError, RefrainError, first_line
from pipeline.params import SPLITS, CorpusParams, SplitParams
from pipeline.text.normalize import NORMALIZERS

CHUNK_BYTES = 1 << 20

COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz"}


@dataclass(frozen=True)
class TextFile:
    """One file of a corpus: ``name`` for messages, ``open`` gives its bytes, unpacked."""

    name: str
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Summary:
    """Size and identity of a corpus.

    ``characters`` counts the text after normalising and cutting; ``sha256`` is of the bytes read,
    before that, so for a single plain file it is what ``sha256sum`` prints.
    """

    characters: int
    sha256: str


class Corpus:
    """The text that ``corpus`` in ``params.yaml`` describes.

    Raises :class:`RefrainError` when nothing is found at its path.
    """

    def __init__(self, params: CorpusParams) -> None:
        self.params = params
        self.files = find_files(params.path, params.files)

    def read(self, digest: "hashlib._Hash | None" = None) -> Iterator[str]:
        """Chunks of the normalised text, cut at ``max_chars``.

        ``digest`` is fed all bytes of all files, also those past the cut.
        """
        digest = digest or hashlib.sha256()
        left = self.params.max_chars
        for chunk in NORMALIZERS[self.params.normalize](self._decoded(digest)):
            if left is None:
                yield chunk
            elif left > 0:
                yield chunk[:left]
                left -= len(chunk)

    def summarize(self) -> Summary:
        """Read everything once, for its length and hash."""
        digest = hashlib.sha256()
        characters = sum(map(len, self.read(digest)))
        if not characters:
            raise RefrainError(
                f"corpus.path {self.params.path}: no text is left after reading "
                f"{len(self.files)} file(s) with corpus.normalize: {self.params.normalize}"
            )
        return Summary(characters, digest.hexdigest())

    def _decoded(self, digest: "hashlib._Hash") -> Iterator[str]:
        text = ""
        for file in self.files:
            if text and not text.endswith(("\n", "\r")):
                yield "\n"  # two files never run together in one line
            for text in decode(file, digest):
                yield text


def decode(file: TextFile, digest: "hashlib._Hash") -> Iterator[str]:
    """Decode one UTF-8 file, with or without BOM, in chunks, feeding its bytes to ``digest``.

    Raises :class:`RefrainError` naming file and byte offset where it is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    with _explained(file.name), file.open() as stream:
        while True:
            block = stream.read(CHUNK_BYTES)
            digest.update(block)
            held = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise RefrainError(
                    f"{file.name}: byte 0x{error.object[error.start]:02x} at offset "
                    f"{offset - held + error.start} is not UTF-8: save the file as UTF-8, or leave it "
                    "out with corpus.files"
                ) from None
            text = text.removeprefix("\ufeff") if offset == 0 else text
            offset += len(block)
            if text:
                yield text
            if not block:
                return


def find_files(path: str, pattern: str | None) -> list[TextFile]:
    """The files at ``path`` (see the module), in the order of their names.

    ``pattern`` is a shell pattern matched against paths inside a folder or archive; ``*`` also
    matches ``/``. Names that begin with a dot are passed over.
    """
    with _explained(path):
        fs, root = fsspec.url_to_fs(path)
        if _suffix(path) == ".zip":
            archive = ZipFileSystem(fo=_local(path))
            found = [
                TextFile(f"{path}: {name}", partial(archive.open, name))
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


def split_bounds(characters: int, split: SplitParams) -> dict[str, range]:
    """Contiguous character ranges of the splits: fractions of the whole, rounded to the nearest."""
    first = round(characters * split.train)
    second = characters if not split.test else round(characters * (split.train + split.valid))
    edges = (0, first, second, characters)
    return {name: range(*edge) for name, edge in zip(SPLITS, pairwise(edges), strict=True)}


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
    return TextFile(name, partial(_open, url))


def _suffix(path: str) -> str:
    """The ending of a path or URL, without what follows a question mark, in lower case."""
    return PurePosixPath(urlsplit(path).path if "://" in path else path).suffix.lower()


def _open(url: str) -> IO[bytes]:
    # A remote file is downloaded whole before it is read, so that a lost connection is one error.
    cached = url if url.startswith("file://") or "://" not in url else f"simplecache::{url}"
    stream: IO[bytes] = fsspec.open(cached, "rb", compression=COMPRESSIONS.get(_suffix(url))).open()
    return stream


def _local(path: str) -> str:
    return path if Path(path).exists() else fsspec.open_local(f"simplecache::{path}")


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what can go wrong while reading ``name`` into one line."""
    damaged = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError)
    try:
        yield
    except RefrainError:
        raise
    except FileNotFoundError:
        if "://" in name:  # whatever the server's reason was, this is all that fsspec tells
            raise MayPassError(
                f"corpus.path {name}: nothing is there, the server refuses it, or there is no connection"
            ) from None
        raise RefrainError(
            f"corpus.path {name}: nothing is there; `python -m pipeline.text.catalog list` shows texts "
            "that can be fetched"
        ) from None
    except damaged as error:
        raise RefrainError(f"{name}: damaged archive ({first_line(error)}): get the file again") from None
    except Exception as error:
        # Each protocol has exceptions of its own, from packages that may not be installed; this block only
        # ever reads, so whatever goes wrong in it is the source's.
        kind = MayPassError if "://" in name else RefrainError
        raise kind(f"{name}: cannot be read: {first_line(error)}") from error
