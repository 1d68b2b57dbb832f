"""The text that ``corpus`` in ``params.yaml`` describes, in pieces that can be read side by side.

The files are cut into pieces of bounded size, always in the same places, at line ends where there are any.
Each piece is normalised by itself. Where it lies in the whole text, and what separates it from the piece
before it, is known once all pieces have been counted. The text is the same however it is cut.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RefrainError
from pipeline.params.corpus import SPLITS, CorpusParams, SplitParams
from pipeline.text.files import TextFile, find_files, reading_explained
from pipeline.text.normalize import NORMALIZERS, separator
from pipeline.text.reading import FileRange, Piece, decode_piece
from pipeline.text.vocab import Placement, count_chars

PIECE_BYTES = 1 << 25
"""Bytes of a piece: the work that is lost when a process dies."""

SEARCH_BYTES = 1 << 16
"""How far behind the place for a cut a line end is looked for."""


@dataclass(frozen=True)
class PieceCount:
    """What counting a piece finds: characters after normalising, how often each code point occurs, the
    SHA-256 of its bytes, and its first and last character before normalising (empty if it has none).
    """

    characters: int
    code_points: NDArray[np.int64]
    counts: NDArray[np.int64]
    sha256: str
    first: str
    last: str


class Corpus:
    """The files of ``params``; :class:`RefrainError` when nothing is found at its path."""

    def __init__(self, params: CorpusParams) -> None:
        self.params = params
        self.files = find_files(params.path, params.files)

    def pieces(self) -> list[Piece]:
        """All files: large ones cut into pieces of about :data:`PIECE_BYTES`, small ones put together."""
        pieces: list[Piece] = []
        gathered: list[FileRange] = []
        left = PIECE_BYTES
        for file in self.files:
            if file.size is not None and file.size <= left:
                gathered.append(FileRange(file))
                left -= file.size
                continue
            if gathered:
                pieces.append(tuple(gathered))
            gathered, left = [], PIECE_BYTES
            if file.size is not None and file.size <= PIECE_BYTES:
                gathered, left = [FileRange(file)], PIECE_BYTES - file.size
            else:
                pieces += [(file_range,) for file_range in _cut(file)]
        return [*pieces, tuple(gathered)] if gathered else pieces

    def placements(self, pieces: list[Piece], counts: list[PieceCount]) -> list[Placement]:
        """Where each piece lies, cut off at ``max_chars``; :class:`RefrainError` if there is no text."""
        placements: list[Placement] = []
        before, stop = "", 0
        for piece, count in zip(pieces, counts, strict=True):
            begins_file = piece[0].start == 0
            between = separator(self.params.normalize, before, count.first, begins_file)
            if self.params.normalize == "letters" and not (stop and count.characters):
                between = ""  # no space at either end
            start, stop = stop, stop + len(between) + count.characters
            placements.append(Placement(between, start, stop, count.sha256))
            before = count.last or before
        if not stop:
            raise RefrainError(
                f"corpus.path {self.params.path}: no text is left after reading "
                f"{len(self.files)} file(s) with corpus.normalize: {self.params.normalize}"
            )
        most = self.params.max_chars or stop
        return [Placement(p.separator, min(p.start, most), min(p.stop, most), p.sha256) for p in placements]

    def read(self) -> Iterator[str]:
        """Chunks of the whole text, one piece after the other."""
        pieces = self.pieces()
        counts = [count_piece(self.params.normalize, piece) for piece in pieces]
        for piece, placement in zip(pieces, self.placements(pieces, counts), strict=True):
            chunks = read_piece(self.params.normalize, piece, placement)
            yield from take_characters(placement.stop - placement.start, chunks)


def count_piece(normalize: str, piece: Piece) -> PieceCount:
    """Read a piece once."""
    digest, edges = hashlib.sha256(), ["", ""]
    counts = count_chars(NORMALIZERS[normalize](_with_edges_noted(decode_piece(piece, digest), edges)))
    code_points = np.flatnonzero(counts)
    found = counts[code_points]
    return PieceCount(int(found.sum()), code_points, found, digest.hexdigest(), *edges)


def read_piece(
    normalize: str, piece: Piece, placement: Placement, digest: "hashlib._Hash | None" = None
) -> Iterator[str]:
    """Chunks of a piece's text after its separator, to the piece's end; ``digest`` gets the bytes."""
    yield placement.separator
    yield from NORMALIZERS[normalize](decode_piece(piece, digest or hashlib.sha256()))


def take_characters(most: int, chunks: Iterable[str]) -> Iterator[str]:
    """Chunks of the first ``most`` characters of a text."""
    for chunk in chunks:
        if most <= 0:
            return
        yield chunk[:most]
        most -= len(chunk)


def split_bounds(characters: int, split: SplitParams) -> dict[str, range]:
    """Contiguous character ranges of the splits: fractions of the whole, rounded to the nearest."""
    first = round(characters * split.train)
    second = characters if not split.test else round(characters * (split.train + split.valid))
    edges = (0, first, second, characters)
    return {name: range(*edge) for name, edge in zip(SPLITS, pairwise(edges), strict=True)}


def _cut(file: TextFile) -> Iterator[FileRange]:
    """A file in ranges, each of which begins behind a line end, or at least at a whole character."""
    if file.size is None or not file.seekable:
        yield FileRange(file)
        return
    with reading_explained(file.name), file.open() as stream:
        edges = [0]
        for place in range(PIECE_BYTES, file.size, PIECE_BYTES):
            stream.seek(place)
            edges.append(place + _next_cut(stream.read(SEARCH_BYTES)))
    yield from (FileRange(file, *edge) for edge in pairwise([*edges, file.size]))


def _next_cut(window: bytes) -> int:
    """The first good place for a cut: behind a line end, or else before a byte that begins a character."""
    if line_end := window.find(b"\n") + 1:
        return line_end
    begins = (place for place, byte in enumerate(window[:4]) if byte & 0b1100_0000 != 0b1000_0000)
    return next(begins, len(window[:4]))


def _with_edges_noted(chunks: Iterable[str], edges: list[str]) -> Iterator[str]:
    """The same chunks; their first and last character are put into ``edges``."""
    for chunk in chunks:
        edges[0] = edges[0] or chunk[0]
        edges[1] = chunk[-1]
        yield chunk
