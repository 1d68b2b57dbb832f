"""The text that ``corpus`` in ``params.yaml`` describes, in pieces that can be read in parallel.

Files are cut into pieces, always in the same places, and at line breaks if possible. Each piece is normalised
on its own. Once all pieces have been counted, we know each piece's position in the whole text and the
separator before it. The resulting text does not depend on the cuts.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RefrainError
from pipeline.params.corpus import CorpusParams
from pipeline.params.runtime import MAX_TEXT_BYTES
from pipeline.text.chunks import ChunkedText
from pipeline.text.documents import DocumentScan, PieceDocuments
from pipeline.text.download import too_large
from pipeline.text.files import TextFile, find_files, reading_explained
from pipeline.text.normalize import NORMALIZERS
from pipeline.text.reading import BytesRead, FileRange, Piece, decode_piece
from pipeline.text.splits import Document, Splits, split_text
from pipeline.text.vocab import Placement, count_chars
from pipeline.text.workers import ParallelMap, one_by_one

PIECE_BYTES = 1 << 25
"""Size of a piece in bytes, up to the next line break. Files that cannot be entered in the middle are one
piece each.
"""

SEARCH_BYTES = 1 << 16
"""How many bytes after the intended cut to search for a line break."""


@dataclass(frozen=True)
class PieceCount:
    """Facts about a piece, as far as it was read: the number of characters after normalising, the
    occurrences of each code point, the SHA-256 of its bytes, its first and last character before normalising
    (empty if it has none), how many of its bytes had to be downloaded or decompressed, and its documents.
    """

    characters: int
    code_points: NDArray[np.int64]
    counts: NDArray[np.int64]
    sha256: str
    first: str
    last: str
    unpacked: int
    documents: PieceDocuments


class Corpus:
    """The files that ``params`` describes, of which at most ``max_bytes`` are downloaded or decompressed.

    Raises :class:`RefrainError` if there are no files, or if it is clear that they are too large.
    """

    def __init__(self, params: CorpusParams, max_bytes: int = MAX_TEXT_BYTES) -> None:
        self.params, self.max_bytes = params, max_bytes
        self.files = find_files(params.path, params.files, max_bytes)
        packed = sum(file.size or 0 for file in self.files if not file.seekable)
        if packed > max_bytes and not params.max_chars:
            raise too_large(f"corpus.path {params.path}", max_bytes)

    def pieces(self) -> list[Piece]:
        """All files in pieces of about :data:`PIECE_BYTES`: large files are cut, small ones combined."""
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

    def count(self, pieces: Sequence[Piece], over_pieces: ParallelMap = one_by_one) -> list[PieceCount]:
        """Count the characters of the first pieces: of all, or until they have ``max_chars``."""
        counts: list[PieceCount] = []
        characters = unpacked = 0
        for count in over_pieces(partial(count_piece, self.params), pieces):
            counts.append(count)
            characters += count.characters
            unpacked += count.unpacked
            if unpacked > self.max_bytes:
                raise too_large(f"corpus.path {self.params.path}", self.max_bytes)
            if self.params.max_chars and characters >= self.params.max_chars:
                break
        return counts

    def placements(self, pieces: Sequence[Piece], counts: Sequence[PieceCount]) -> list[Placement]:
        """Each piece's position, cut off at ``max_chars``. Raise :class:`RefrainError` if all are empty."""
        placements: list[Placement] = []
        normalizer = NORMALIZERS[self.params.normalize]
        before, stop = "", 0
        for piece, count in zip(pieces, counts, strict=True):
            begins_file = piece[0].start == 0
            between = normalizer.separator(before, count.first, begins_file)
            if normalizer.strips_ends and not (stop and count.characters):
                between = ""
            start, stop = stop, stop + len(between) + count.characters
            placements.append(Placement(between, start, stop, count.sha256))
            before = count.last or before
        if not stop:
            raise RefrainError(
                f"corpus.path {self.params.path}: no text is left after reading "
                f"{len(self.files)} file(s) with corpus.normalize: {self.params.normalize}: "
                "use other files or another normalisation"
            )
        most = self.params.max_chars or stop
        return [Placement(p.separator, min(p.start, most), min(p.stop, most), p.sha256) for p in placements]

    def splits(self, placements: Sequence[Placement], counts: Sequence[PieceCount]) -> Splits:
        """Which characters of the whole text belong to which split."""
        documents: list[Document] = []
        after_blank = False
        for placement, count in zip(placements, counts, strict=True):
            found, before = count.documents, placement.start + len(placement.separator)
            is_continued = found.first_is_doubtful and not after_blank
            for start, key in list(zip(found.starts, found.keys, strict=True))[is_continued:]:
                documents.append(Document(before + start if documents else 0, key))
            after_blank = found.ends_blank
        characters = placements[-1].stop
        kept = [document for document in documents if document.start < characters]
        return split_text(kept, characters, self.params.split)

    def read(self) -> Iterator[str]:
        """Chunks of the whole text, one piece after the other."""
        counts = self.count(self.pieces())
        pieces = self.pieces()[: len(counts)]
        for piece, placement in zip(pieces, self.placements(pieces, counts), strict=True):
            chunks = read_piece(self.params, piece, placement)
            yield from ChunkedText(chunks).take(placement.stop - placement.start)


def count_piece(params: CorpusParams, piece: Piece) -> PieceCount:
    """Read a piece, up to ``max_chars``, and count its characters."""
    read, edges = BytesRead(), ["", ""]
    normalizer = NORMALIZERS[params.normalize]
    scan = DocumentScan(normalizer.has_songs)
    chunks = _record_edges(decode_piece(piece, read, scan.begin_file), edges)
    counts = count_chars(_limited(params, scan.normalized(normalizer.apply, chunks)))
    code_points = np.flatnonzero(counts)
    found = counts[code_points]
    return PieceCount(
        int(found.sum()),
        code_points,
        found,
        read.sha256(),
        edges[0],
        edges[1],
        read.unpacked,
        scan.documents(),
    )


def read_piece(
    params: CorpusParams, piece: Piece, placement: Placement, read: BytesRead | None = None
) -> Iterator[str]:
    """A piece's separator, then its text in chunks: as far as :func:`count_piece` reads it.

    What is read for it is added to ``read``.
    """
    yield placement.separator
    chunks = decode_piece(piece, read or BytesRead())
    yield from _limited(params, NORMALIZERS[params.normalize].apply(chunks))


def _limited(params: CorpusParams, chunks: Iterator[str]) -> Iterator[str]:
    return ChunkedText(chunks).take(params.max_chars) if params.max_chars else chunks


def _cut(file: TextFile) -> Iterator[FileRange]:
    """Cut a file into ranges. Each starts after a line break, or at least with a whole character."""
    if file.size is None or not file.seekable:
        yield FileRange(file)
        return
    with reading_explained(file.name), file.open() as stream:
        edges = [0]
        for place in range(PIECE_BYTES, file.size, PIECE_BYTES):
            stream.seek(place)
            edges.append(place + _next_cut(stream.read(SEARCH_BYTES)))
    yield from (FileRange(file, *edge) for edge in pairwise([*edges, file.size]))


def _next_cut(content: bytes) -> int:
    """The first good place for a cut: after a line break, or else before the first byte of a character."""
    if line_end := content.find(b"\n") + 1:
        return line_end
    begins = (place for place, byte in enumerate(content[:4]) if byte & 0b1100_0000 != 0b1000_0000)
    return next(begins, len(content[:4]))


def _record_edges(chunks: Iterable[str], edges: list[str]) -> Iterator[str]:
    """Yield the same chunks and store the first and the last character of all in ``edges``."""
    for chunk in chunks:
        edges[0] = edges[0] or chunk[0]
        edges[1] = chunk[-1]
        yield chunk
