"""Reading the encoded corpus: any ids of a split, without loading the whole split."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import RefrainError
from pipeline.text.vocab import VocabFile

RERUN_HINT = "run `dvc repro --force encode_corpus`"
CACHED_GROUPS = 64
"""How many decoded row groups stay in memory: 4 million characters, 8 MB as uint16."""


class EncodedText:
    """The ids of one split. ``len(text)`` is their number, ``text[start:stop]`` an int64 array.

    ``sha256`` is the digest of the digests of all shards' texts, before unknown characters became ``<unk>``.

    Only the row groups that hold the requested ids are decoded. Raises :class:`RefrainError` if a shard is
    missing, damaged, or made from another vocabulary: on opening if the metadata show it, on reading if only
    the pages show it.
    """

    def __init__(self, folder: Path, split: str, vocab: VocabFile) -> None:
        self._vocab_size = len(vocab.vocab)
        self._shards = sorted(
            (folder / split).glob("part-*.parquet"), key=lambda path: (len(path.name), path.name)
        )
        self._metadata: list[pq.FileMetaData] = []
        digests = hashlib.sha256()
        self._groups: list[tuple[int, int]] = []  # number of the shard, row group in it
        starts, length = [0], 0
        for number, shard in enumerate(self._shards):
            with _damage_explained(shard):
                metadata = pq.read_metadata(shard)
                stored = json.loads((metadata.metadata or {})[b"refrain"])
                place, start = (stored["split"], stored["number"]), stored["start"]
                length, vocab_sha256 = stored["characters"], stored["vocab_sha256"]
                digests.update((metadata.metadata or {})[b"text_sha256"])
            if place != (split, number) or start != starts[-1]:
                raise RefrainError(
                    f"{shard} is shard {place[1]} of {place[0]}, in the wrong place: {RERUN_HINT}"
                )
            if vocab_sha256 != vocab.sha256:
                raise RefrainError(f"{shard} was encoded with another vocabulary: {RERUN_HINT}")
            self._metadata.append(metadata)
            for group in range(metadata.num_row_groups):
                self._groups.append((number, group))
                starts.append(starts[-1] + metadata.row_group(group).num_rows)
        if not self._shards:
            raise RefrainError(f"{folder / split} has no part-*.parquet: run `dvc repro encode_corpus`")
        if starts[-1] != length:
            raise RefrainError(f"{folder / split} does not have all of its {length} ids: {RERUN_HINT}")
        self.sha256 = digests.hexdigest()
        self._starts = np.array(starts)
        self._group = lru_cache(CACHED_GROUPS)(self._read_group)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, places: slice) -> NDArray[np.int64]:
        start, stop, _ = places.indices(len(self))
        ids = np.empty(max(stop - start, 0), np.int64)
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop, side="left"))
        for group in range(first, last):
            low, high = max(start, self._starts[group]), min(stop, self._starts[group + 1])
            offset = self._starts[group]
            ids[low - start : high - start] = self._group(group)[low - offset : high - offset]
        return ids

    def chunks(self, size: int = 1 << 20) -> Iterator[NDArray[np.int64]]:
        """All ids, in arrays of ``size``."""
        edges = [*range(0, len(self), size), len(self)]
        return (self[low:high] for low, high in pairwise(edges))

    def _read_group(self, group: int) -> NDArray[np.unsignedinteger]:
        shard, index = self._groups[group]
        path = self._shards[shard]
        with (
            _damage_explained(path),
            pq.ParquetFile(path, metadata=self._metadata[shard], page_checksum_verification=True) as file,
        ):
            ids = file.read_row_group(index).column("id").to_numpy()
            if len(ids) != self._starts[group + 1] - self._starts[group]:
                raise ValueError(f"row group {index} has the wrong number of ids, {len(ids)}")
            if len(ids) and ids.max() >= self._vocab_size:
                raise ValueError(f"row group {index} has ids outside the vocabulary")
        return ids


@contextmanager
def _damage_explained(shard: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise RefrainError(f"{shard} is damaged ({error}): {RERUN_HINT}".replace("\n", " ")) from None
