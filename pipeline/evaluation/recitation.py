"""How much of a generated text is recited: stands in the training text, character for character."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from pipeline.arithmetic.rounding import six_digits
from pipeline.data.text import Integers, Text

GRAM = 8
"""The share of a sample counts its strings of this many characters."""

HELD_OUT_TEXT = "held-out"
"""The name of the held-out text among the models in reports. No model can have it: it has a hyphen."""

CHUNK_CHARACTERS = 1 << 16
"""How many characters are read at a time, or as many as the longest sample has."""

SEPARATOR, GAP = -1, -2
"""Not ids. One stands after each sample, the other in place of characters of the text that are left out."""

LONGEST_FILTER = 16
"""Strings of at most this many characters decide which characters of the text are left out."""

BUCKET_BITS = 18
"""So many bits of a hash are looked up in a table, which must fit into a processor's cache."""

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

Hashes = NDArray[np.uint64]

Figures = dict[str, float | None]
"""``longest`` and ``share``, with six significant digits."""


@dataclass(frozen=True)
class Recitation:
    """How much of a sample stands in the training text.

    ``longest``: the length of its longest run of characters that does. ``share``: the share of its strings of
    :data:`GRAM` characters, which overlap, that do; None if the sample is shorter than that.
    """

    longest: int
    share: float | None

    def figures(self) -> Figures:
        """The figures for ``reports/samples.jsonl``."""
        share = None if self.share is None else six_digits(self.share)
        return {"longest": self.longest, "share": share}


def means(found: Sequence[Recitation]) -> Figures:
    """The mean length of the samples' longest runs, and the mean of those shares that there are."""
    shares = [one.share for one in found if one.share is not None]
    longest = six_digits(fmean(one.longest for one in found))
    return {"longest": longest, "share": six_digits(fmean(shares)) if shares else None}


def recitation(train: Text, samples: Sequence[list[int] | Integers]) -> list[Recitation]:
    """How much of each sample stands in ``train``. Characters are equal if their ids, 0 or more, are.

    So ``<unk>`` is equal to ``<unk>``, whatever the characters were. The text is read once, in chunks, not
    further than results can change. Memory holds the samples and one chunk.
    """
    if not samples:
        return []
    joined = np.concatenate([np.append(sample, SEPARATOR).astype(np.int64) for sample in samples])
    lengths = np.array([len(sample) for sample in samples])
    automaton = SuffixAutomaton(joined)
    news = _news(joined, lengths, automaton.runs())
    overlap = int(lengths.max())
    step = max(CHUNK_CHARACTERS, overlap)
    for number, low in enumerate(range(0, len(train), step), 1):
        if not news:
            break
        ids = np.asarray(train[low : low + step + overlap], np.int64)
        automaton.read(_worth_reading(ids, news))
        if number & (number - 1) == 0:  # ever more seldom: there is less and less news
            news = _news(joined, lengths, automaton.runs())
    runs = automaton.runs()
    found = np.add.reduceat((runs >= GRAM).astype(np.int64), _starts(lengths))
    return [
        Recitation(int(longest), float(count / grams) if grams > 0 else None)
        for longest, count, grams in zip(_longest(runs, lengths), found, lengths - GRAM + 1, strict=True)
    ]


def _starts(lengths: Integers) -> Integers:
    """Where each sample starts among the joined ones."""
    starts: Integers = np.cumsum(lengths + 1) - lengths - 1
    return starts


def _longest(runs: Integers, lengths: Integers) -> Integers:
    """The longest run of each sample."""
    longest: Integers = np.maximum.reduceat(runs, _starts(lengths))
    return longest


def _news(joined: Integers, lengths: Integers, runs: Integers) -> dict[int, Hashes]:
    """Strings of the samples that would change a result if they were read: sorted hashes, by length.

    They are the strings of :data:`GRAM` characters that have not been read, and those longer by one than
    their sample's longest run: a text with a longer run has one of them. Of very long ones, only the parts of
    :data:`LONGEST_FILTER` characters are there.
    """
    longest = _longest(runs, lengths)
    sizes = np.where(longest < lengths, np.minimum(longest + 1, LONGEST_FILTER), 0).repeat(lengths + 1)
    places = np.arange(len(joined)) - _starts(lengths).repeat(lengths + 1)
    news = {}
    for size, hashes in enumerate(_hashes(joined, LONGEST_FILTER), 1):
        ends = (sizes == size) | ((size == GRAM) & (runs < GRAM))
        ends &= (places >= size - 1) & (joined != SEPARATOR)
        news[size] = np.unique(hashes[ends[size - 1 :]])
    return {size: hashes for size, hashes in news.items() if len(hashes)}


def _worth_reading(ids: Integers, news: dict[int, Hashes]) -> Integers:
    """The characters of ``ids`` in strings that have the hash of news, with gaps between them."""
    changes = np.zeros(len(ids) + 1, np.int64)
    for size, hashes in enumerate(_hashes(ids, max(news)), 1):
        if size in news:
            starts = _places(hashes, news[size])
            changes[starts] += 1
            changes[starts + size] -= 1
    kept = np.cumsum(changes) > 0  # and one more place, never kept
    marked = np.where(kept, np.append(ids, GAP), GAP)
    chosen: Integers = marked[kept | np.roll(kept, 1)]
    return chosen


def _hashes(ids: Integers, longest: int) -> Iterator[Hashes]:
    """The hashes of all strings of 1, 2, 3 ... ``longest`` characters. The next ones overwrite them."""
    hashes = np.zeros(len(ids), np.uint64)
    for size in range(1, longest + 1):
        hashes = hashes[: max(len(ids) - size + 1, 0)]
        hashes += ids[size - 1 :].view(np.uint64)
        hashes *= MULTIPLIER
        yield hashes


def _places(hashes: Hashes, wanted: Hashes) -> Integers:
    """Where ``hashes`` has one of the ``wanted``, which are sorted."""
    table = np.zeros(1 << BUCKET_BITS, np.bool_)
    table[_buckets(wanted)] = True
    places = np.flatnonzero(table[_buckets(hashes)])
    nearest = np.searchsorted(wanted, hashes[places]).clip(max=len(wanted) - 1)
    found: Integers = places[wanted[nearest] == hashes[places]]
    return found


def _buckets(hashes: Hashes) -> Integers:
    return (hashes >> np.uint64(64 - BUCKET_BITS)).view(np.int64)  # NumPy is slow with unsigned indices


class SuffixAutomaton:
    """Finds the strings of ``ids`` in other texts, in constant time per character (Blumer et al., 1985).

    A state is a set of strings that end at the same places of ``ids``. They are its longest string and the
    longest string's ends, down to some length; the state's link leads to the state of the next shorter end.
    There are at most twice as many states as characters. State 0 is that of the empty string.
    """

    def __init__(self, ids: Integers) -> None:
        self._next: list[dict[int, int]] = [{}]
        self._links = [-1]
        self._lengths = [0]  # of the longest string of each state
        self._ends: list[int] = []  # the state of ids[: n + 1]
        for number in ids.tolist():
            self._ends.append(self._append(self._ends[-1] if self._ends else 0, number))
        self._order = np.argsort(self._lengths).tolist()
        self._found = [0] * len(self._lengths)  # the longest string of each state that has been read

    def read(self, ids: Integers) -> None:
        """Look for strings in a text."""
        successors, links, lengths, found = self._next, self._links, self._lengths, self._found
        state = length = 0
        for number in ids.tolist():
            following = successors[state].get(number)
            while following is None and state:
                state = links[state]
                length = lengths[state]
                following = successors[state].get(number)
            if following is not None:
                state = following
                length += 1
                if length > found[state]:
                    found[state] = length

    def runs(self) -> Integers:
        """For each place in ``ids``, the length of the longest string ending there that has been read."""
        runs = self._found.copy()
        for state in reversed(self._order):
            if runs[state]:  # with a string, its ends have been read: the longest string of the linked state
                runs[self._links[state]] = self._lengths[self._links[state]]
        for state in self._order[1:]:
            runs[state] = runs[state] or runs[self._links[state]]
        return np.array([runs[state] for state in self._ends], np.int64)

    def _append(self, last: int, number: int) -> int:
        """The new state of the whole text, in state ``last`` so far, and ``number``."""
        new = self._add({}, 0, self._lengths[last] + 1)
        state = last
        while state >= 0 and number not in self._next[state]:
            self._next[state][number] = new
            state = self._links[state]
        if state >= 0:
            self._links[new] = self._split(state, number)
        return new

    def _split(self, state: int, number: int) -> int:
        """The state whose longest string is that of ``state`` and ``number``: split off if it is not yet."""
        following = self._next[state][number]
        length = self._lengths[state] + 1
        if self._lengths[following] == length:
            return following
        new = self._add(self._next[following].copy(), self._links[following], length)
        self._links[following] = new
        while state >= 0 and self._next[state].get(number) == following:
            self._next[state][number] = new
            state = self._links[state]
        return new

    def _add(self, successors: dict[int, int], link: int, length: int) -> int:
        self._next.append(successors)
        self._links.append(link)
        self._lengths.append(length)
        return len(self._links) - 1
