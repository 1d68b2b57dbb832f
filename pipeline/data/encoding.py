"""Writing the encoded corpus: one column of character ids in Parquet, cut into shards.

The shards ``{split}/part-00000.parquet`` and so on have one column, ``id`` (uint16, or uint32 for
vocabularies of more than 65,536 characters). A shard holds what one piece of the corpus contributes to the
split, so that pieces can be encoded in parallel. Each shard's metadata give its vocabulary, its corpus, its
position and the number of characters in the whole split; they reveal shards that are missing, swapped or cut
off. Checksums of pages reveal flipped bits.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.artifacts import atomic_file
from pipeline.errors import RefrainError
from pipeline.params.corpus import CorpusParams
from pipeline.text.corpus import read_piece
from pipeline.text.reading import BytesRead, Piece
from pipeline.text.vocab import Ids, Placement, VocabFile

SHARD_ROWS = 1 << 25
"""The most rows of a shard. A piece with more characters than this gets several shards: a compressed file, a
text at a URL, or a piece whose cut was moved to the next line break.
"""

GROUP_ROWS = 1 << 16


@dataclass(frozen=True)
class Shard:
    """File number ``number`` of a split of ``characters``: ``rows`` of them, from character ``start`` on."""

    split: str
    characters: int
    number: int
    start: int
    rows: int


@dataclass(frozen=True)
class PieceShards:
    """A piece of the corpus, and the shards that hold its text, in sequence."""

    piece: Piece
    placement: Placement
    shards: tuple[Shard, ...]


def plan_shards(
    pieces: list[Piece], placements: Iterable[Placement], bounds: dict[str, range]
) -> list[PieceShards]:
    """All pieces that have shards, with their shards. ``bounds``: the character ranges of the splits."""
    numbers = dict.fromkeys(bounds, 0)
    planned = []
    for piece, placement in zip(pieces, placements, strict=True):
        shards = []
        for split, bound in bounds.items():
            low, high = max(placement.start, bound.start), min(placement.stop, bound.stop)
            for start in range(low, high, SHARD_ROWS):
                rows = min(SHARD_ROWS, high - start)
                shards.append(Shard(split, len(bound), numbers[split], start - bound.start, rows))
                numbers[split] += 1
        planned.append(PieceShards(piece, placement, tuple(shards)))
    return [piece_shards for piece_shards in planned if piece_shards.shards]


def encode_piece(params: CorpusParams, vocab: VocabFile, folder: Path, planned: PieceShards) -> bool:
    """Write the shards of a piece to ``folder/{split}``, each completely or not at all.

    Returns whether the piece is unchanged since it was counted. If not, the shards are useless.
    """
    read = BytesRead()
    placement = planned.placement
    text = ChunkedText(read_piece(params, planned.piece, placement, read))
    try:
        for shard in planned.shards:
            ids = (vocab.vocab.encode(chunk) for chunk in text.take(shard.rows))
            write_shard(folder, shard, ids, vocab)
    except RefrainError:  # unknown characters: perhaps the text has changed since it was counted
        text.skip_to_end()
        if read.sha256() == placement.sha256:
            raise
        return False
    text.skip_to_end()  # the digest covers all that was counted, even if less of it is encoded
    return read.sha256() == placement.sha256


def write_shard(folder: Path, shard: Shard, ids: Iterable[Ids], vocab: VocabFile) -> None:
    """Write the ids of a shard to its file, in row groups, completely or not at all."""
    metadata = asdict(shard) | {"vocab_sha256": vocab.sha256, "corpus_sha256": vocab.corpus_sha256}
    schema = pa.schema([pa.field("id", id_type(len(vocab.vocab)), nullable=False)])
    stored = schema.field("id").type.to_pandas_dtype()
    with (
        atomic_file(folder / shard.split / f"part-{shard.number:05d}.parquet") as temporary,
        pq.ParquetWriter(
            temporary,
            schema.with_metadata({"refrain": json.dumps(metadata)}),
            # Stores all low bytes together and all high bytes together, which is twice as fast to write and
            # takes two thirds of the space.
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
    """The same ids in arrays of whole row groups (the last may be shorter), or one empty array for no ids."""
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
        """The next ``characters`` of the text in chunks, or fewer at its end."""
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
        """Read the rest of the text."""
        for _ in self._chunks:
            pass


def id_type(vocab_size: int) -> pa.DataType:
    """uint16 if it can hold every id, else uint32."""
    return pa.uint16() if vocab_size <= 1 << 16 else pa.uint32()
