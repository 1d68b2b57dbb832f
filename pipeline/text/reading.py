"""Pieces of the raw text, decoded chunk by chunk."""

import codecs
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.errors import RefrainError
from pipeline.text.download import too_large
from pipeline.text.files import TextFile, reading_explained

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class FileRange:
    """Bytes ``start`` to ``stop`` of a file. ``stop`` None: to its end."""

    file: TextFile
    start: int = 0
    stop: int | None = None


Piece = tuple[FileRange, ...]
"""A range of a large file, or several small files."""


class BytesRead:
    """What has been read of a piece: the digest of its bytes, and how many of them had to be downloaded or
    decompressed.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.unpacked = 0

    def add(self, content: bytes, file: TextFile) -> None:
        """Add bytes of a file. Raise :class:`RefrainError` if it is too much to unpack."""
        self._digest.update(content)
        if not file.seekable:
            self.unpacked += len(content)
            if self.unpacked > file.max_bytes:
                raise too_large(file.name, file.max_bytes)

    def sha256(self) -> str:
        """The SHA-256 of all bytes so far."""
        return self._digest.hexdigest()


def decode_piece(
    piece: Piece, read: BytesRead, begin_file: Callable[[str], None] = lambda _: None
) -> Iterator[str]:
    """A piece's text in non-empty chunks. What is read for it is added to ``read``.

    ``begin_file`` is called with the name of each file that has text, before its first chunk.
    """
    text = ""
    for file_range in piece:
        for number, chunk in enumerate(decode_range(file_range, read)):
            if not number:
                if text and not text.endswith("\n"):
                    yield "\n"  # a new file starts a new line
                if not file_range.start:
                    begin_file(file_range.file.inside)
            text = chunk
            yield chunk


def decode_range(file_range: FileRange, read: BytesRead) -> Iterator[str]:
    """Decode UTF-8, with or without BOM, in non-empty chunks. The bytes are added to ``read``.

    Raises :class:`RefrainError`, naming the file and the byte offset, if it is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, stop = file_range.start, file_range.stop
    with reading_explained(file_range.file.name), file_range.file.open() as stream:
        if offset:
            stream.seek(offset)
        while True:
            content = stream.read(CHUNK_BYTES if stop is None else min(CHUNK_BYTES, stop - offset))
            read.add(content, file_range.file)
            held = len(decoder.getstate()[0])
            try:
                text = decoder.decode(content, final=not content)
            except UnicodeDecodeError as error:
                raise RefrainError(
                    f"{file_range.file.name}: byte 0x{error.object[error.start]:02x} at offset "
                    f"{offset - held + error.start} is not UTF-8: save the file as UTF-8, or leave it "
                    "out with corpus.files"
                ) from None
            text = text.removeprefix("\ufeff") if offset == 0 else text
            offset += len(content)
            if text:
                yield text
            if not content:
                return
