"""The encoded corpus: one column of character ids in Parquet, cut into shards.

``{split}/part-00000.parquet`` and so on hold column ``id`` (uint16, or uint32 for vocabularies past
65,536 characters). The metadata of every shard names the vocabulary and the corpus it was made from and
how many characters its whole split has, so that a missing, mixed-up or cut-off shard is noticed.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import RefrainError
from pipeline.text.vocab import Ids, VocabFile

SHARD_ROWS = 1 << 24
GROUP_ROWS = 1 << 20


def id_type(vocab_size: int) -> pa.DataType:
    """The narrowest of the two stored types that holds every id."""
    return pa.uint16() if vocab_size <= 1 << 16 else pa.uint32()


class SplitWriter:
    """Writes one split, as a context manager: rows in groups, groups in shards of bounded size."""

    def __init__(self, folder: Path, characters: int, vocab: VocabFile) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        self._metadata = {
            "split": folder.name,
            "characters": characters,
            "vocab_sha256": vocab.sha256,
            "corpus_sha256": vocab.corpus_sha256,
        }
        self._schema = pa.schema([pa.field("id", id_type(len(vocab.vocab)), nullable=False)])
        self._pending: list[Ids] = []
        self._rows = 0
        self._shards = 0
        self._shard: pq.ParquetWriter | None = None
        self._shard_rows = 0

    def __enter__(self) -> "SplitWriter":
        return self

    def write(self, ids: Ids) -> None:
        """Append ids."""
        self._pending.append(ids)
        self._rows += len(ids)
        while self._rows >= GROUP_ROWS:
            self._write_group(GROUP_ROWS)

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None and (self._rows or not self._shards):
            self._write_group(self._rows)
        if self._shard:
            self._shard.close()

    def _write_group(self, rows: int) -> None:
        ids = np.concatenate(self._pending) if self._pending else np.empty(0, np.uint32)
        if self._shard is None:
            metadata = json.dumps({**self._metadata, "part": self._shards})
            self._shard = pq.ParquetWriter(
                self._folder / f"part-{self._shards:05d}.parquet",
                self._schema.with_metadata({"refrain": metadata}),
                # Bytes of the same rank side by side: twice as fast to write, and two thirds of the size.
                column_encoding="BYTE_STREAM_SPLIT",
                compression="zstd",
                use_dictionary=False,
            )
            self._shards += 1
        column = pa.array(ids[:rows].astype(self._schema.field("id").type.to_pandas_dtype()))
        self._shard.write_table(pa.table([column], schema=self._schema), row_group_size=GROUP_ROWS)
        self._pending, self._rows = [ids[rows:]], len(ids) - rows
        self._shard_rows += rows
        if self._shard_rows >= SHARD_ROWS:
            self._shard.close()
            self._shard, self._shard_rows = None, 0


def encode_splits(
    chunks: Iterable[str], bounds: dict[str, range], vocab: VocabFile, folder: Path
) -> Iterable[str]:
    """Encode a text chunk by chunk into ``folder/{split}``; ``bounds`` are character ranges.

    Returns what is left of the text after the last of them.
    """
    for name, span in bounds.items():
        with SplitWriter(folder / name, len(span), vocab) as writer:
            chunks = _write_span(chunks, span, vocab, writer)
    return chunks


def _write_span(chunks: Iterable[str], span: range, vocab: VocabFile, writer: SplitWriter) -> Iterable[str]:
    """Write the next ``len(span)`` characters and return what is left of the text."""
    left = len(span)
    rest = iter(chunks)
    if not left:
        return rest
    for chunk in rest:
        writer.write(vocab.vocab.encode(chunk[:left]))
        if len(chunk) >= left:
            return _after(chunk[left:], rest)
        left -= len(chunk)
    return rest


def _after(first: str, rest: Iterable[str]) -> Iterable[str]:
    if first:
        yield first
    yield from rest


def read_split(folder: Path, split: str, vocab: VocabFile) -> NDArray[np.int64]:
    """All ids of a split, shape ``(characters,)``.

    Raises :class:`RefrainError` if a shard is absent, damaged, or made from another vocabulary.
    """
    shards = sorted((folder / split).glob("part-*.parquet"))
    redo = "run `dvc repro --force encode_corpus`"
    if not shards:
        raise RefrainError(f"{folder / split} holds no part-*.parquet: run `dvc repro encode_corpus`")
    columns, characters = [], 0
    for shard in shards:
        try:
            table = pq.read_table(shard)
            metadata = json.loads(table.schema.metadata[b"refrain"])
            columns.append(table.column("id").to_numpy().astype(np.int64))
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise RefrainError(f"{shard} is damaged ({error}): {redo}".replace("\n", " ")) from None
        place = metadata.get("split"), metadata.get("part")
        if place != (split, len(columns) - 1):
            raise RefrainError(f"{shard} is part {place[1]} of {place[0]}, in the wrong place: {redo}")
        if metadata["vocab_sha256"] != vocab.sha256:
            raise RefrainError(f"{shard} was encoded with another vocabulary: {redo}")
        characters = metadata["characters"]
    ids = np.concatenate(columns)
    if len(ids) != characters or (len(ids) and ids.max() >= len(vocab.vocab)):
        raise RefrainError(f"{folder / split} does not hold its {characters} ids: {redo}")
    return ids
