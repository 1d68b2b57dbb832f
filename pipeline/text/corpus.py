"""The text that ``corpus`` in ``params.yaml`` describes, in pieces that can be read side by side.

The files are cut into pieces of bounded size, always in the same places, at line ends where there are any.
A piece is normalised by itself; where it lies in the whole text, and what stands at the seam to the piece
before it, is known once all have been counted. The text is the same however it is cut.
"""

import codecs
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RefrainError
from pipeline.params import SPLITS, CorpusParams, SplitParams
from pipeline.text.files import TextFile, explained, find_files
from pipeline.text.normalize import NORMALIZERS, joint
from pipeline.text.vocab import Span, count_chars

CHUNK_BYTES = 1 << 20
PIECE_BYTES = 1 << 25
"""Bytes of a piece: what is lost when a process that works on it dies."""

SEARCH_BYTES = 1 << 16
"""How far behind the place for a cut a line end is looked for."""


@dataclass(frozen=True)
class Part:
    """Bytes ``start`` to ``stop`` of a file; None: to its end."""

    file: TextFile
    start: int = 0
    stop: int | None = None


Piece = tuple[Part, ...]
"""A part of a large file, or several small files."""


@dataclass(frozen=True)
class PieceCount:
    """What reading a piece finds: characters after normalising, how often each code point occurs, the
    SHA-256 of its bytes, and its first and last character before normalising (empty if it has none).
    """

    characters: int
    code_points: NDArray[np.int64]
    times: NDArray[np.int64]
    sha256: str
    first: str
    last: str


class Corpus:
    """The files of ``params``; :class:`RefrainError` when nothing is found at its path."""

    def __init__(self, params: CorpusParams) -> None:
        self.params = params
        self.files = find_files(params.path, params.files)

    def pieces(self) -> list[Piece]:
        """All files, cut into or gathered to pieces of about :data:`PIECE_BYTES`."""
        pieces: list[Piece] = []
        gathered: list[Part] = []
        left = PIECE_BYTES
        for file in self.files:
            if file.size is not None and file.size <= left:
                gathered.append(Part(file))
                left -= file.size
                continue
            if gathered:
                pieces.append(tuple(gathered))
            gathered, left = [], PIECE_BYTES
            if file.size is not None and file.size <= PIECE_BYTES:
                gathered, left = [Part(file)], PIECE_BYTES - file.size
            else:
                pieces += [(part,) for part in _cut(file)]
        return [*pieces, tuple(gathered)] if gathered else pieces

    def place(self, pieces: list[Piece], counts: list[PieceCount]) -> list[Span]:
        """Where each piece lies, cut at ``max_chars``; :class:`RefrainError` if there is no text."""
        spans: list[Span] = []
        before, stop = "", 0
        for piece, count in zip(pieces, counts, strict=True):
            new_file = piece[0].start == 0
            between = joint(self.params.normalize, before, count.first, new_file)
            if self.params.normalize == "letters" and not (stop and count.characters):
                between = ""  # no space at either end
            start, stop = stop, stop + len(between) + count.characters
            spans.append(Span(between, start, stop, count.sha256))
            before = count.last or before
        if not stop:
            raise RefrainError(
                f"corpus.path {self.params.path}: no text is left after reading "
                f"{len(self.files)} file(s) with corpus.normalize: {self.params.normalize}"
            )
        most = self.params.max_chars or stop
        return [Span(s.joint, min(s.start, most), min(s.stop, most), s.sha256) for s in spans]

    def read(self) -> Iterator[str]:
        """Chunks of the whole text, one piece after the other."""
        pieces = self.pieces()
        counts = [count_piece(self.params.normalize, piece) for piece in pieces]
        for piece, span in zip(pieces, self.place(pieces, counts), strict=True):
            yield from first(span.stop - span.start, read_span(self.params.normalize, piece, span))


def count_piece(normalize: str, piece: Piece) -> PieceCount:
    """Read a piece once."""
    digest, edges = hashlib.sha256(), ["", ""]
    counts = count_chars(NORMALIZERS[normalize](_noted(_decoded(piece, digest), edges)))
    code_points = np.flatnonzero(counts)
    times = counts[code_points]
    return PieceCount(int(times.sum()), code_points, times, digest.hexdigest(), *edges)


def read_span(
    normalize: str, piece: Piece, span: Span, digest: "hashlib._Hash | None" = None
) -> Iterator[str]:
    """Chunks of a piece's text, whole, after its joint; ``digest`` is fed the bytes."""
    yield span.joint
    yield from NORMALIZERS[normalize](_decoded(piece, digest or hashlib.sha256()))


def first(characters: int, chunks: Iterable[str]) -> Iterator[str]:
    """The first so many characters of a text in chunks."""
    for chunk in chunks:
        if characters <= 0:
            return
        yield chunk[:characters]
        characters -= len(chunk)


def split_bounds(characters: int, split: SplitParams) -> dict[str, range]:
    """Contiguous character ranges of the splits: fractions of the whole, rounded to the nearest."""
    first = round(characters * split.train)
    second = characters if not split.test else round(characters * (split.train + split.valid))
    edges = (0, first, second, characters)
    return {name: range(*edge) for name, edge in zip(SPLITS, pairwise(edges), strict=True)}


def _cut(file: TextFile) -> Iterator[Part]:
    """Parts of a file, each behind a line end, or at least between two characters."""
    if file.size is None or not file.seekable:
        yield Part(file)
        return
    with explained(file.name), file.open() as stream:
        edges = [0]
        for place in range(PIECE_BYTES, file.size, PIECE_BYTES):
            stream.seek(place)
            edges.append(place + _next_cut(stream.read(SEARCH_BYTES)))
    yield from (Part(file, *edge) for edge in pairwise([*edges, file.size]))


def _next_cut(window: bytes) -> int:
    """The first good place for a cut: behind a line end, or else before a byte that begins a character."""
    if line_end := window.find(b"\n") + 1:
        return line_end
    begins = (place for place, byte in enumerate(window[:4]) if byte & 0b1100_0000 != 0b1000_0000)
    return next(begins, len(window[:4]))


def _noted(chunks: Iterable[str], edges: list[str]) -> Iterator[str]:
    """The same chunks; the first and the last character are put into ``edges``."""
    for chunk in chunks:
        edges[0] = edges[0] or chunk[0]
        edges[1] = chunk[-1]
        yield chunk


def _decoded(piece: Piece, digest: "hashlib._Hash") -> Iterator[str]:
    text = ""
    for part in piece:
        for number, chunk in enumerate(decode(part, digest)):
            if text and not number and not text.endswith("\n"):
                yield "\n"  # two files never run together in one line
            text = chunk
            yield chunk


def decode(part: Part, digest: "hashlib._Hash") -> Iterator[str]:
    """Decode UTF-8, with or without BOM, in chunks that are not empty, feeding its bytes to ``digest``.

    Raises :class:`RefrainError` naming file and byte offset where it is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = part.start
    with explained(part.file.name), part.file.open() as stream:
        if offset:
            stream.seek(offset)
        while True:
            most = CHUNK_BYTES if part.stop is None else min(CHUNK_BYTES, part.stop - offset)
            block = stream.read(most)
            digest.update(block)
            held = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise RefrainError(
                    f"{part.file.name}: byte 0x{error.object[error.start]:02x} at offset "
                    f"{offset - held + error.start} is not UTF-8: save the file as UTF-8, or leave it "
                    "out with corpus.files"
                ) from None
            text = text.removeprefix("\ufeff") if offset == 0 else text
            offset += len(block)
            if text:
                yield text
            if not block:
                return
