"""Which characters of a text are for training, validation and testing."""

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from pipeline.params.corpus import SPLITS, SplitParams
from pipeline.text.documents import key_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Document:
    """A document of a text: its first character, and its key (see :mod:`pipeline.text.documents`)."""

    start: int
    key: int


@dataclass(frozen=True)
class Splits:
    """Where each split of a text lies.

    Run ``i`` of the text ends before character ``stops[i]`` and belongs to the split ``names[i]``.
    ``documents`` has the number of documents in each split; it is empty if the text was cut by position.
    """

    names: tuple[str, ...]
    stops: tuple[int, ...]
    documents: dict[str, int]

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """What :func:`dataclasses.asdict` has turned into JSON."""
        return cls(tuple(stored["names"]), tuple(stored["stops"]), stored["documents"])

    def lengths(self) -> dict[str, int]:
        """Characters in each split."""
        lengths = dict.fromkeys(SPLITS, 0)
        for name, (start, stop) in zip(self.names, pairwise((0, *self.stops)), strict=True):
            lengths[name] += stop - start
        return lengths

    def described(self) -> str:
        """Characters, and documents if whole ones are held out, as in ``valid 1,200 in 4 documents``."""
        documents = {name: f" in {number} documents" for name, number in self.documents.items()}
        return ", ".join(f"{name} {n:,}{documents.get(name, '')}" for name, n in self.lengths().items())

    def runs(self, start: int, stop: int) -> Iterator[tuple[str, int]]:
        """The characters from ``start`` to ``stop``, as splits and how many characters in turn are theirs."""
        place = bisect_right(self.stops, start)
        while start < stop:
            end = min(stop, self.stops[place])
            if end > start:
                yield self.names[place], end - start
            start, place = end, place + 1


def split_text(documents: Sequence[Document], characters: int, params: SplitParams) -> Splits:
    """The splits of a text of ``characters`` with these documents, the first of which starts at 0.

    A document's split depends on nothing but its own key and ``params``, so it stays the same when the text
    grows, as long as no split would be empty.
    """
    if params.by == "position":
        return cut_by_position(characters, params)
    if len(documents) < sum(share > 0 for share in params.shares.values()):
        log.info("too few documents to hold out whole ones (%d): the text is cut by position", len(documents))
        return cut_by_position(characters, params)
    names = _splits_of(documents, params)
    stops = [*(document.start for document in documents[1:]), characters]
    last_of_runs = [place for place, name in enumerate(names) if names[place + 1 : place + 2] != [name]]
    return Splits(
        names=tuple(names[place] for place in last_of_runs),
        stops=tuple(stops[place] for place in last_of_runs),
        documents={name: names.count(name) for name in SPLITS},
    )


def cut_by_position(characters: int, params: SplitParams) -> Splits:
    """Training, validation and testing from the start to the end, in whole characters."""
    first = round(characters * params.train)
    second = characters if not params.test else round(characters * (params.train + params.valid))
    return Splits(SPLITS, (first, second, characters), {})


def _splits_of(documents: Sequence[Document], params: SplitParams) -> list[str]:
    """The split of each document. Each split that has a share gets a document or more."""
    draws = _draws(documents, params.seed)
    tests = sum(draw < params.test for draw in draws)
    held_out = sum(draw < params.test + params.valid for draw in draws)
    tests = max(tests, int(params.test > 0))
    held_out = max(held_out, tests + int(params.valid > 0))
    held_out = min(held_out, len(draws) - 1)
    tests = min(tests, held_out - int(params.valid > 0))
    order = sorted(range(len(draws)), key=draws.__getitem__)
    names = ["train"] * len(draws)
    for rank, place in enumerate(order[:held_out]):
        names[place] = "test" if rank < tests else "valid"
    return names


def _draws(documents: Sequence[Document], seed: int) -> list[float]:
    """A number from 0 to 1 for each document. Documents with the same key get different ones."""
    times: Counter[int] = Counter()
    draws = []
    for document in documents:
        times[document.key] += 1
        draws.append(key_of(f"{seed} {document.key} {times[document.key]}") / 2**64)
    return draws
