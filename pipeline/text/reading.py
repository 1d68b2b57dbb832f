"""Pieces of the raw text, decoded chunk by chunk."""

import codecs
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.errors import RefrainError
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


def decode_piece(piece: Piece, digest: "hashlib._Hash") -> Iterator[str]:
    """A piece's text in non-empty chunks. ``digest`` is updated with the piece's bytes."""
    text = ""
    for file_range in piece:
        for number, chunk in enumerate(decode_range(file_range, digest)):
            if text and not number and not text.endswith("\n"):
                yield "\n"  # a new file starts a new line
            text = chunk
            yield chunk


def decode_range(file_range: FileRange, digest: "hashlib._Hash") -> Iterator[str]:
    """Decode UTF-8, with or without BOM, in non-empty chunks. ``digest`` is updated with the bytes.

    Raises :class:`RefrainError`, naming the file and the byte offset, if it is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, stop = file_range.start, file_range.stop
    with reading_explained(file_range.file.name), file_range.file.open() as stream:
        if offset:
            stream.seek(offset)
        while True:
            content = stream.read(CHUNK_BYTES if stop is None else min(CHUNK_BYTES, stop - offset))
            digest.update(content)
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
