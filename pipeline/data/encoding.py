"""Writing the encoded corpus: one column of character ids in Parquet, cut into shards.

The shards ``{split}/part-00000.parquet`` and so on have one column, ``id`` (uint16, or uint32 for
vocabularies of more than 65,536 characters). A shard holds what one piece of the corpus contributes to the
split, so that pieces can be encoded in parallel. Each shard's metadata give its vocabulary, its corpus, its
position and the number of characters in the whole split; they reveal shards that are missing, swapped or cut
off. Checksums of pages reveal flipped bits. ``text_sha256`` is the digest of the shard's text as UTF-8.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.artifacts import atomic_file
from pipeline.errors import RefrainError
from pipeline.params.corpus import CorpusParams
from pipeline.text.chunks import ChunkedText
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
    """A piece of the corpus, the splits of its characters in turn, and the shards that get them."""

    piece: Piece
    placement: Placement
    runs: tuple[tuple[str, int], ...]
    shards: tuple[Shard, ...]


def plan_shards(pieces: list[Piece], vocab: VocabFile) -> list[PieceShards]:
    """All pieces that have text, with their shards."""
    lengths = vocab.splits.lengths()
    numbers, written = dict.fromkeys(lengths, 0), dict.fromkeys(lengths, 0)
    planned = []
    for piece, placement in zip(pieces, vocab.placements, strict=True):
        runs = tuple(vocab.splits.runs(placement.start, placement.stop))
        shards = []
        for split in lengths:
            characters = sum(length for name, length in runs if name == split)
            for done in range(0, characters, SHARD_ROWS):
                rows = min(SHARD_ROWS, characters - done)
                shards.append(Shard(split, lengths[split], numbers[split], written[split], rows))
                numbers[split] += 1
                written[split] += rows
        planned.append(PieceShards(piece, placement, runs, tuple(shards)))
    return [piece_shards for piece_shards in planned if piece_shards.runs]


def encode_piece(params: CorpusParams, vocab: VocabFile, folder: Path, planned: PieceShards) -> bool:
    """Write the shards of a piece to ``folder/{split}``, each completely or not at all.

    Returns whether the piece is unchanged since it was counted. If not, the shards are useless.
    """
    read = BytesRead()
    placement = planned.placement
    text = ChunkedText(read_piece(params, planned.piece, placement, read))
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(ShardsWriter(folder, split, planned.shards, vocab))
            for split in dict(planned.runs)
        }
        try:
            for split, characters in planned.runs:
                for chunk in text.take(characters):
                    writers[split].write(chunk)
        except RefrainError:  # unknown characters: perhaps the text has changed since it was counted
            text.skip_to_end()
            if read.sha256() == placement.sha256:
                raise
            return False
        text.skip_to_end()  # the digest covers all that was counted, even if less of it is encoded
        return read.sha256() == placement.sha256


class ShardsWriter:
    """Writes text to those of ``shards`` that belong to ``split``, one after the other."""

    def __init__(self, folder: Path, split: str, shards: Iterable[Shard], vocab: VocabFile) -> None:
        self._folder, self._vocab = folder, vocab
        self._shards = iter([shard for shard in shards if shard.split == split])
        self._type = id_type(len(vocab.vocab))
        self._open = ExitStack()  # the shard that is being written
        self._left = 0  # rows that it lacks
        self._pending: list[Ids] = []
        self._pending_rows = 0

    def __enter__(self) -> "ShardsWriter":
        self._begin_shard()
        return self

    def write(self, text: str) -> None:
        """Add characters. They go to the next shard when one is full."""
        while text:
            if not self._left:
                self._end_shard()
                self._begin_shard()
            rows, text = text[: self._left], text[self._left :]
            self._left -= len(rows)
            self._digest.update(rows.encode())
            self._pending.append(self._vocab.vocab.encode(rows))
            self._pending_rows += len(rows)
            if self._pending_rows >= GROUP_ROWS:
                self._write_groups(self._pending_rows // GROUP_ROWS * GROUP_ROWS)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._end_shard()
        else:
            self._open.__exit__(kind, error, trace)

    def _begin_shard(self) -> None:
        shard = next(self._shards)
        metadata = asdict(shard) | {
            "vocab_sha256": self._vocab.sha256,
            "corpus_sha256": self._vocab.corpus_sha256,
        }
        schema = pa.schema([pa.field("id", self._type, nullable=False)])
        path = self._folder / shard.split / f"part-{shard.number:05d}.parquet"
        self._parquet = self._open.enter_context(
            pq.ParquetWriter(
                self._open.enter_context(atomic_file(path)),
                schema.with_metadata({"refrain": json.dumps(metadata)}),
                # Stores all low bytes together and all high bytes together, which is twice as fast to write
                # and takes two thirds of the space.
                column_encoding="BYTE_STREAM_SPLIT",
                compression="zstd",
                use_dictionary=False,
                write_page_checksum=True,
            )
        )
        self._left, self._digest = shard.rows, hashlib.sha256()
        if not shard.rows:
            self._write_groups(0)  # a table without rows still has its column

    def _end_shard(self) -> None:
        if self._pending_rows:
            self._write_groups(self._pending_rows)
        self._parquet.add_key_value_metadata({"text_sha256": self._digest.hexdigest()})
        self._open.close()

    def _write_groups(self, rows: int) -> None:
        """Write the first ``rows`` pending ids in groups."""
        ids = np.concatenate([np.empty(0, np.uint32), *self._pending])
        column = pa.array(ids[:rows].astype(self._type.to_pandas_dtype()))
        table = pa.table([column], schema=pa.schema([pa.field("id", self._type, nullable=False)]))
        self._parquet.write_table(table, row_group_size=GROUP_ROWS)
        self._pending, self._pending_rows = [ids[rows:]], len(ids) - rows


def write_empty_split(folder: Path, split: str, vocab: VocabFile) -> None:
    """Write the only shard of a split without text."""
    with ShardsWriter(folder, split, [Shard(split, characters=0, number=0, start=0, rows=0)], vocab):
        pass


def id_type(vocab_size: int) -> pa.DataType:
    """uint16 if it can hold every id, else uint32."""
    return pa.uint16() if vocab_size <= 1 << 16 else pa.uint32()
