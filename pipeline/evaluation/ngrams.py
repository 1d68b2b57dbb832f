"""Character n-gram models: they predict from counts of the characters before."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.data.text import Integers, Text

Floats = NDArray[np.float64]

CHUNK_CHARACTERS = 1 << 20
"""How many characters are read at a time."""

FALLBACK_DISCOUNTS = (0.0, 0.5, 1.0, 1.5)
"""What Kneser-Ney smoothing takes from counts of 0, 1, 2, 3 and above if the text is too short to tell."""

_NO_CODE = np.iinfo(np.int64).max


class NGrams:
    """Models of the orders 1 to ``longest``. Order n predicts a character from the n - 1 before it.

    All are interpolated: ``p(c|h) = (kept(h,c) + rest(h) p(c|h')) / total(h)`` for the character ``c`` after
    the history ``h``, where ``h'`` is ``h`` without its first character. After a history that training lacks,
    ``p(c|h)`` is ``p(c|h')``. Below single characters, ``p`` is uniform. At the start of a text, histories
    are shorter.

    Order 1 keeps all counts, and its rest is the size of the vocabulary, which adds one to each count
    (Laplace). Order 2 stands on order 1. It keeps all counts, too, and its rest is the number of different
    successors (Witten & Bell, 1991). Higher orders have modified Kneser-Ney smoothing at all lengths (Chen &
    Goodman, 1999). It takes a discount from each count, and its rest is what it has taken. Only the longest
    n-grams are counted as often as they occur; the count of a shorter one is the number of different
    characters before it (one at the start of the text, where there is none).
    """

    def __init__(self, train: Text, vocab_size: int, longest: int) -> None:
        # An n-gram's id is its rank among the codes of its length. Its code is made of the id of its history
        # and its last character. The last of the codes stands for all n-grams that training lacks.
        self._size = vocab_size
        self._codes: list[Integers] = []
        self._counts: list[Integers] = []
        self._predecessors: list[Integers] = []
        shorter = np.zeros(1, np.int64)  # by id: the id without the first character
        for length in range(1, longest + 1):
            codes, counts = _count(self._new_codes(ids) for ids, _ in overlapping(train, length - 1))
            histories, characters = np.divmod(codes, vocab_size)
            if length == 1:
                shorter = np.zeros(len(codes), np.int64)
            else:
                shorter = _find(self._codes[-1], shorter[histories] * vocab_size + characters)
                predecessors = np.bincount(shorter, minlength=len(self._counts[-1]))
                self._predecessors.append(np.maximum(predecessors, 1))
            self._codes.append(np.append(codes, _NO_CODE))
            self._counts.append(counts)

    def nats(self, text: Text, order: int) -> Floats:
        """The negative log-probability of each character of ``text`` except the first."""
        return np.concatenate([np.empty(0), *self.nats_by_chunk(text, order)])

    def nats_by_chunk(self, text: Text, order: int) -> Iterator[Floats]:
        """The same in several arrays, because a text may be larger than memory."""
        tables = self._tables(order)
        for ids, known in overlapping(text, max(order - 1, 1)):
            probabilities = np.full(len(ids), 1 / self._size)
            for (shares, rests), (histories, grams) in zip(tables, self._lookup(ids), strict=False):
                probabilities = shares[grams] + rests[histories] * probabilities
            yield -np.log(probabilities[max(known, 1) :])

    def _lookup(self, ids: Integers) -> Iterator[tuple[Integers, Integers]]:
        """By length: the id of the history of each character, and of the n-gram that it ends; -1 for none."""
        histories = np.zeros(len(ids), np.int64)
        for codes in self._codes:
            grams = _find(codes, histories * self._size + ids)
            yield histories, grams
            histories = _of_next(grams)

    def _new_codes(self, ids: Integers) -> Integers:
        """The codes of n-grams that are one character longer than those counted so far."""
        histories = np.zeros(len(ids), np.int64)
        for _, grams in self._lookup(ids):
            histories = _of_next(grams)
        codes: Integers = histories * self._size + ids
        return codes[histories >= 0]

    def _tables(self, order: int) -> list[tuple[Floats, Floats]]:
        """By length: ``kept / total`` of each n-gram, and ``rest / total`` of each history."""
        if order > 2:
            counts = [*self._predecessors[: order - 1], self._counts[order - 1]]
            return [self._kneser_ney(length, of_length) for length, of_length in enumerate(counts, 1)]
        laplace = self._table(1, self._counts[0], np.array([self._size]))
        return [laplace, self._witten_bell()][:order]

    def _witten_bell(self) -> tuple[Floats, Floats]:
        return self._table(2, self._counts[1], self._sums(2, np.ones(len(self._counts[1]))))

    def _kneser_ney(self, length: int, counts: Integers) -> tuple[Floats, Floats]:
        taken = discounts(counts)[np.minimum(counts, 3)]
        return self._table(length, counts - taken, self._sums(length, taken))

    def _table(
        self, length: int, kept: NDArray[np.number], rest: NDArray[np.number]
    ) -> tuple[Floats, Floats]:
        histories = self._codes[length - 1][:-1] // self._size
        totals = self._sums(length, kept) + rest
        shares = np.append(kept / totals[histories], 0)
        return shares, np.divide(rest, totals, out=np.ones(len(totals)), where=totals > 0)

    def _sums(self, length: int, values: NDArray[np.number]) -> Floats:
        """The sums over all n-grams with the same history, by history."""
        histories = self._codes[length - 1][:-1] // self._size
        count = len(self._codes[length - 2]) if length > 1 else 1
        return np.asarray(np.bincount(histories, values, minlength=count), np.float64)


def discounts(counts: Integers) -> Floats:
    """What modified Kneser-Ney smoothing takes from counts of 0, 1, 2, and 3 and above."""
    once, twice, thrice, four_times = (int((counts == times).sum()) for times in (1, 2, 3, 4))
    if not (once and twice and thrice):
        return np.array(FALLBACK_DISCOUNTS)
    share = once / (once + 2 * twice)
    found = (0.0, share, 2 - 3 * share * thrice / twice, 3 - 4 * share * four_times / thrice)
    return np.array(found if min(found[1:]) > 0 else FALLBACK_DISCOUNTS)


def overlapping(text: Text, before: int) -> Iterator[tuple[Integers, int]]:
    """The text in arrays, each with the number of characters at its start that were also in the previous one.

    This is ``before``, or less near the start of the text.
    """
    for low in range(0, len(text), CHUNK_CHARACTERS):
        start = max(low - before, 0)
        yield np.asarray(text[start : min(low + CHUNK_CHARACTERS, len(text))]), low - start


def _count(chunks: Iterable[Integers]) -> tuple[Integers, Integers]:
    """The different numbers in all chunks, sorted, and how often each occurs."""
    codes, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for chunk in chunks:
        found, times = np.unique(chunk, return_counts=True)
        codes, places = np.unique(np.concatenate([codes, found]), return_inverse=True)
        counts = np.bincount(places, np.concatenate([counts, times])).astype(np.int64)
    return codes, counts


def _find(codes: Integers, wanted: Integers) -> Integers:
    """The place of each wanted number in ``codes``, which are sorted; -1 for those that it lacks."""
    places = np.searchsorted(codes, wanted)
    return np.where(codes[places] == wanted, places, -1)


def _of_next(grams: Integers) -> Integers:
    """The histories of the characters that follow: the first one has none."""
    return np.concatenate([[-1], grams[:-1]])
