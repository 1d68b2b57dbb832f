"""The vocabulary: which characters there are, and their ids."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.artifacts import atomic_file, file_sha256
from pipeline.errors import RefrainError
from pipeline.params.load import Params
from pipeline.text.splits import Splits

UNK = "<unk>"
CODE_POINTS = 0x110000

Ids = NDArray[np.uint32]


@dataclass(frozen=True)
class Vocab:
    """Characters in the order of their ids, with their counts in the training split.

    ``<unk>``, if there is one, has id 0. Its count is the number of training characters that it stands for.
    """

    chars: tuple[str, ...]
    counts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.chars)

    @property
    def unk_id(self) -> int | None:
        """The id of ``<unk>``, or None."""
        return 0 if self.chars[:1] == (UNK,) else None

    @cached_property
    def _ids(self) -> Ids:
        """Ids by code point. Unknown characters have the id of ``<unk>``, or else ``len(self)``."""
        first = 0 if self.unk_id is None else 1
        table = np.full(CODE_POINTS, len(self) if self.unk_id is None else self.unk_id, np.uint32)
        known = [ord(char) for char in self.chars[first:]]
        table[known] = np.arange(first, len(self), dtype=np.uint32)
        return table

    def encode(self, text: str) -> Ids:
        """Ids of the characters of ``text``, shape ``(len(text),)``.

        Raises :class:`RefrainError`, naming the unknown characters, if the vocabulary has no ``<unk>``.
        """
        ids = self._ids[code_points(text)]
        if self.unk_id is None and (ids == len(self)).any():
            raise RefrainError(
                f"not in the vocabulary: {describe(self.missing(text))}: set vocab.unk: true, "
                "or raise corpus.split.train"
            )
        return ids

    def encode_prefix(self, prefix: str, allow_unk: bool) -> list[int]:
        """Ids of a prefix to continue.

        Raises :class:`RefrainError` if it is empty, or if it has characters outside the vocabulary, unless
        ``allow_unk`` lets ``<unk>`` stand for them.
        """
        if not prefix:
            raise RefrainError("the prefix is empty: a model needs at least one character to continue")
        missing = self.missing(prefix)
        if missing and (self.unk_id is None or not allow_unk):
            hint = (
                ""
                if self.unk_id is None
                else ", or set generate.allow_unk (--allow-unk) to read them as <unk>"
            )
            raise RefrainError(
                f"prefix {prefix!r}: not in the vocabulary: {describe(missing)}: "
                f"use characters of the text{hint}"
            )
        return [int(i) for i in self.encode(prefix)]

    def missing(self, text: str) -> list[str]:
        """Characters of ``text`` outside the vocabulary, each once, sorted by code point."""
        return sorted(set(text) - set(self.chars))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ``ids``."""
        return "".join(self.chars[i] for i in ids)


def check_prefixes(params: Params, vocab: Vocab) -> None:
    """Raise :class:`RefrainError` if a prefix cannot be encoded. Called before training, not after it."""
    for prefix in params.generate.prefixes:
        try:
            vocab.encode_prefix(prefix, params.generate.allow_unk)
        except RefrainError as error:
            raise RefrainError(f"params.yaml: generate.prefixes: {error}") from None
    for name in params.models:
        for prefix in params.train_params(name).sample.prefixes:
            try:
                vocab.encode_prefix(prefix, allow_unk=True)
            except RefrainError as error:
                raise RefrainError(f"params.yaml: train.sample.prefixes: {error}") from None


def code_points(text: str) -> NDArray[np.uint32]:
    """Unicode code points of ``text``, without a Python loop."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def describe(chars: list[str], most: int = 10) -> str:
    """A readable list of characters with their code points."""
    shown = ", ".join(f"{char!r} (U+{ord(char):04X})" for char in chars[:most])
    return shown + (f" and {len(chars) - most} more" if len(chars) > most else "")


def count_chars(chunks: Iterable[str]) -> NDArray[np.int64]:
    """Occurrences by code point, shape ``(0x110000,)``."""
    counts = np.zeros(CODE_POINTS, np.int64)
    for chunk in chunks:
        found = np.bincount(code_points(chunk))
        counts[: len(found)] += found
    return counts


def vocab_from_counts(counts: NDArray[np.int64], *, unk: bool, min_count: int) -> Vocab:
    """Vocabulary of the characters counted at least ``min_count`` times.

    Ids are sorted by falling count, then by code point. ``<unk>`` comes first.
    """
    kept = np.flatnonzero(counts >= max(min_count, 1))
    if not len(kept):
        raise RefrainError(f"vocab.min_count: {min_count} leaves no character in the vocabulary: lower it")
    order = kept[np.lexsort((kept, -counts[kept]))]
    chars = tuple(map(chr, order.tolist()))
    kept_counts = tuple(counts[order].tolist())
    if not unk:
        return Vocab(chars, kept_counts)
    return Vocab((UNK, *chars), (int(counts.sum()) - sum(kept_counts), *kept_counts))


@dataclass(frozen=True)
class Placement:
    """The position of a piece of the corpus in the whole text: characters ``start`` to ``stop``.

    They start with the piece's ``separator``, which may be empty. ``sha256`` is the digest of its bytes.
    """

    separator: str
    start: int
    stop: int
    sha256: str


@dataclass(frozen=True)
class VocabFile:
    """A stored vocabulary, with the SHA-256 of its file, and where the corpus's pieces and splits lie."""

    vocab: Vocab
    sha256: str
    placements: tuple[Placement, ...]
    splits: Splits

    @property
    def corpus_characters(self) -> int:
        """The number of characters in the whole text, after normalising and cutting at ``max_chars``."""
        return self.placements[-1].stop

    @property
    def corpus_sha256(self) -> str:
        """The SHA-256 of the text: of its bytes if it is one piece, as ``sha256sum`` prints it, else of the
        SHA-256s of all pieces.
        """
        if len(self.placements) == 1:
            return self.placements[0].sha256
        return hashlib.sha256(
            "".join(f"{placement.sha256}\n" for placement in self.placements).encode()
        ).hexdigest()


def write_vocab(path: Path, vocab: Vocab, placements: Iterable[Placement], splits: Splits) -> None:
    """Write columns ``id``, ``char``, ``count``, and where pieces and splits lie as metadata."""
    metadata = {"placements": [astuple(placement) for placement in placements], "splits": asdict(splits)}
    table = pa.table(
        {
            "id": pa.array(range(len(vocab)), pa.uint32()),
            "char": pa.array(vocab.chars, pa.string()),
            "count": pa.array(vocab.counts, pa.int64()),
        }
    ).replace_schema_metadata({"refrain": json.dumps(metadata)})
    with atomic_file(path) as temporary:
        pq.write_table(table, temporary)


def read_vocab(path: Path) -> VocabFile:
    """Read a vocabulary. Raise :class:`RefrainError` if it is missing or damaged."""
    with _damage_explained(path):
        metadata = json.loads(pq.read_schema(path).metadata[b"refrain"])
        placements = tuple(Placement(*placement) for placement in metadata["placements"])
        splits = Splits.from_json(metadata["splits"])
    return VocabFile(read_characters(path), file_sha256(path), placements, splits)


def read_characters(path: Path) -> Vocab:
    """Read only the characters. Raise :class:`RefrainError` if they are missing or damaged."""
    with _damage_explained(path):
        columns: dict[str, list[Any]] = pq.read_table(path).to_pydict()
        ids, chars, counts = columns["id"], columns["char"], columns["count"]
    if ids != list(range(len(ids))):
        raise RefrainError(f"{path}: ids do not count up from 0: run `dvc repro --force build_vocab`")
    return Vocab(tuple(chars), tuple(counts))


@contextmanager
def _damage_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise RefrainError(f"{path} is missing: run `dvc repro build_vocab`") from None
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise RefrainError(f"{path} is damaged ({error}): run `dvc repro --force build_vocab`") from None
