"""Writing the encoded corpus: one column of character ids in Parquet, cut into shards.

``{split}/part-00000.parquet`` and so on hold column ``id`` (uint16, or uint32 for vocabularies past 65,536
characters). A shard holds what one piece of the corpus has of the split, so that pieces can be encoded side
by side. The metadata of every shard names the vocabulary and the corpus it was made from, its place, and how
many characters its whole split has, so that a missing, mixed-up or cut-off shard is noticed. Pages have
checksums, so that a flipped bit is noticed, too.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.artifacts import atomic_file
from pipeline.errors import RefrainError
from pipeline.text.corpus import read_piece
from pipeline.text.reading import Piece
from pipeline.text.vocab import Ids, Placement, VocabFile

SHARD_ROWS = 1 << 25
"""No fewer than a piece's characters. Only packed files, which are one piece however long, need several
shards.
"""

GROUP_ROWS = 1 << 16


@dataclass(frozen=True)
class Shard:
    """File number ``part`` of a split of ``characters``: its ``rows`` from character ``start`` on."""

    split: str
    characters: int
    part: int
    start: int
    rows: int


@dataclass(frozen=True)
class PieceShards:
    """A piece of the corpus, and the shards that hold its text, one after the other."""

    piece: Piece
    placement: Placement
    shards: tuple[Shard, ...]


def plan_shards(
    pieces: list[Piece], placements: Iterable[Placement], bounds: dict[str, range]
) -> list[PieceShards]:
    """The shards of all pieces that have any; ``bounds`` are the character ranges of the splits."""
    parts = dict.fromkeys(bounds, 0)
    planned = []
    for piece, placement in zip(pieces, placements, strict=True):
        shards = []
        for split, bound in bounds.items():
            low, high = max(placement.start, bound.start), min(placement.stop, bound.stop)
            for start in range(low, high, SHARD_ROWS):
                rows = min(SHARD_ROWS, high - start)
                shards.append(Shard(split, len(bound), parts[split], start - bound.start, rows))
                parts[split] += 1
        planned.append(PieceShards(piece, placement, tuple(shards)))
    return [piece_shards for piece_shards in planned if piece_shards.shards]


def encode_piece(normalize: str, vocab: VocabFile, folder: Path, planned: PieceShards) -> bool:
    """Write the shards of a piece to ``folder/{split}``, each whole or not at all.

    Returns whether the piece is still the one that was counted; if not, the shards are of no use.
    """
    digest = hashlib.sha256()
    placement = planned.placement
    text = ChunkedText(read_piece(normalize, planned.piece, placement, digest))
    try:
        for shard in planned.shards:
            ids = (vocab.vocab.encode(chunk) for chunk in text.take(shard.rows))
            write_shard(folder, shard, ids, vocab)
    except RefrainError:  # unknown characters, which a text that has changed may have
        text.skip_to_end()
        if digest.hexdigest() == placement.sha256:
            raise
        return False
    text.skip_to_end()  # also a text that is cut short is hashed whole
    return digest.hexdigest() == placement.sha256


def write_shard(folder: Path, shard: Shard, ids: Iterable[Ids], vocab: VocabFile) -> None:
    """Write ids to the file of a shard, in row groups, whole or not at all."""
    metadata = asdict(shard) | {"vocab_sha256": vocab.sha256, "corpus_sha256": vocab.corpus_sha256}
    schema = pa.schema([pa.field("id", id_type(len(vocab.vocab)), nullable=False)])
    stored = schema.field("id").type.to_pandas_dtype()
    with (
        atomic_file(folder / shard.split / f"part-{shard.part:05d}.parquet") as temporary,
        pq.ParquetWriter(
            temporary,
            schema.with_metadata({"refrain": json.dumps(metadata)}),
            # Bytes of the same rank side by side: twice as fast to write, and two thirds of the size.
            column_encoding="BYTE_STREAM_SPLIT",
            compression="zstd",
            use_dictionary=False,
            write_page_checksum=True,
        ) as writer,
    ):
        for group in _in_groups(ids):
            column = pa.array(group.astype(stored))
            writer.write_table(pa.table([column], schema=schema), row_group_size=GROUP_ROWS)


def _in_groups(arrays: Iterable[Ids]) -> Iterator[Ids]:
    """The same ids in arrays of whole row groups, the last of them shorter; of no ids, one empty array."""
    pending = np.empty(0, np.uint32)
    whole = False
    for array in arrays:
        pending = np.concatenate([pending, array])
        if rows := len(pending) // GROUP_ROWS * GROUP_ROWS:
            yield pending[:rows]
            pending, whole = pending[rows:], True
    if len(pending) or not whole:
        yield pending


class ChunkedText:
    """A text in chunks, from which any number of characters can be taken at a time."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self._chunks, self._left = chunks, ""

    def take(self, characters: int) -> Iterator[str]:
        """Chunks of the next ``characters``, or of fewer at the end of the text."""
        while characters:
            chunk = self._left
            if not chunk:
                try:
                    chunk = next(self._chunks)
                except StopIteration:
                    return
            yield chunk[:characters]
            self._left = chunk[characters:]
            characters -= min(characters, len(chunk))

    def skip_to_end(self) -> None:
        """Read on to the end."""
        for _ in self._chunks:
            pass


def id_type(vocab_size: int) -> pa.DataType:
    """The narrowest of the two stored types that holds every id."""
    return pa.uint16() if vocab_size <= 1 << 16 else pa.uint32()
