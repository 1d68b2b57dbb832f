"""What a model must beat: predictors that only count characters of the training split."""

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.perplexity import Score

Ids = NDArray[np.int64]


class Baselines:
    """Uniform, unigram and bigram predictors over ``vocab_size`` characters.

    The unigram has one added to each count (Laplace). The bigram falls back on the unigram by as much as
    the character before it was followed by new ones (Witten & Bell, 1991): with ``c(a)`` occurrences of
    ``a`` followed by ``t(a)`` different characters,
    ``p(b|a) = (c(a,b) + t(a) p(b)) / (c(a) + t(a))``.
    """

    def __init__(self, train: Ids, vocab_size: int) -> None:
        self._size = vocab_size
        counts = np.bincount(train, minlength=vocab_size) + 1
        self._unigram = counts / counts.sum()
        self._pairs, self._pair_counts = np.unique(self._codes(train), return_counts=True)
        first = self._pairs // vocab_size
        self._followers = np.bincount(first, minlength=vocab_size)
        self._starts = np.bincount(first, weights=self._pair_counts, minlength=vocab_size)

    def scores(self, ids: Ids) -> dict[str, Score]:
        """Score of each baseline on all characters of ``ids`` but the first."""
        probabilities = {"unigram": self._unigram[ids[1:]], "bigram": self._bigram(ids)}
        uniform = Score(math.log(self._size), len(ids) - 1)
        return {"uniform": uniform} | {
            name: Score(float(-np.log(p).mean()), len(p)) for name, p in probabilities.items()
        }

    def _codes(self, ids: Ids) -> Ids:
        """One number for each pair of neighbours."""
        return ids[:-1] * self._size + ids[1:]

    def _bigram(self, ids: Ids) -> NDArray[np.float64]:
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
