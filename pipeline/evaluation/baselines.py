"""Baselines that a model should beat: they only count characters of the training split."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.data.batches import Integers, Text
from pipeline.evaluation.perplexity import Score

CHUNK_CHARACTERS = 1 << 20
"""How many characters are read at a time."""


class Baselines:
    """Uniform, unigram and bigram predictors over ``vocab_size`` characters.

    The unigram adds one to each count (Laplace). The bigram is interpolated with the unigram, which weighs
    more after characters that have many different successors (Witten & Bell, 1991). If ``a`` occurs ``c(a)``
    times and is followed by ``t(a)`` different characters, then
    ``p(b|a) = (c(a,b) + t(a) p(b)) / (c(a) + t(a))``.
    """

    def __init__(self, train: Text, vocab_size: int) -> None:
        self._size = vocab_size
        counts = np.ones(vocab_size)
        self._pairs, self._pair_counts = np.empty(0, np.int64), np.empty(0, np.int64)
        for ids in overlapping(train):
            counts += np.bincount(ids[1:], minlength=vocab_size)
            pairs, times = np.unique(self._codes(ids), return_counts=True)
            self._pairs, place = np.unique(np.concatenate([self._pairs, pairs]), return_inverse=True)
            times = np.concatenate([self._pair_counts, times])
            self._pair_counts = np.bincount(place, weights=times).astype(np.int64)
        counts[train[:1]] += 1  # the first character is not the second of any pair
        self._unigram = counts / counts.sum()
        first = self._pairs // vocab_size
        self._followers = np.bincount(first, minlength=vocab_size)
        self._starts = np.bincount(first, weights=self._pair_counts, minlength=vocab_size)

    def scores(self, text: Text) -> dict[str, Score]:
        """The score of each baseline on all characters of ``text`` except the first."""
        nats = {"unigram": 0.0, "bigram": 0.0}
        for ids in overlapping(text):
            nats["unigram"] -= float(np.log(self._unigram[ids[1:]]).sum())
            nats["bigram"] -= float(np.log(self._bigram(ids)).sum())
        count = len(text) - 1
        uniform = Score(math.log(self._size), count)
        return {"uniform": uniform} | {name: Score(total / count, count) for name, total in nats.items()}

    def _codes(self, ids: Integers) -> Integers:
        """One number for each pair of adjacent characters."""
        return ids[:-1] * self._size + ids[1:]

    def _bigram(self, ids: Integers) -> NDArray[np.float64]:
        codes = self._codes(ids)
        seen = np.zeros(len(codes))
        if len(self._pairs):
            places = np.searchsorted(self._pairs, codes).clip(max=len(self._pairs) - 1)
            seen = np.where(self._pairs[places] == codes, self._pair_counts[places], 0)
        before, unigram = ids[:-1], self._unigram[ids[1:]]
        starts, followers = self._starts[before], self._followers[before]
        total = np.maximum(starts + followers, 1)
        probabilities: NDArray[np.float64] = np.where(
            starts > 0, (seen + followers * unigram) / total, unigram
        )
        return probabilities


def overlapping(text: Text) -> Iterator[Integers]:
    """The text in arrays. Each starts with the last character of the previous one."""
    for low in range(0, len(text) - 1, CHUNK_CHARACTERS):
        yield np.asarray(text[low : min(low + CHUNK_CHARACTERS + 1, len(text))])
