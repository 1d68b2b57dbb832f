"""Baselines that a model should beat: they only count characters of the training split."""

import math
from collections.abc import Iterator

import numpy as np

from pipeline.arithmetic.rounding import six_digits
from pipeline.data.text import Text
from pipeline.evaluation.ngrams import Floats, NGrams
from pipeline.evaluation.score import Score

ORDERS = (3, 4, 5)
"""From these, the baseline ``ngram`` takes the order with the lowest perplexity on the validation split."""

COUNTED_CHARACTERS = 1 << 24
"""``ngram`` counts this many characters at most, because its counts are in memory."""


class Baselines:
    """Uniform, unigram, bigram and n-gram predictors over ``vocab_size`` characters.

    ``order`` is that of the n-grams: the first of :data:`ORDERS` if the validation split holds nothing to
    predict.
    """

    def __init__(self, train: Text, valid: Text, vocab_size: int) -> None:
        self._size = vocab_size
        self._pairs = NGrams(train, vocab_size, 2)
        self._longer = NGrams(train[:COUNTED_CHARACTERS], vocab_size, ORDERS[-1])
        self.order = ORDERS[0]
        if len(valid) > 1:
            self.order = min(ORDERS, key=lambda n: six_digits(_score(valid, self._longer, n).nats))

    def scores(self, text: Text) -> dict[str, Score]:
        """The score of each baseline on all characters of ``text`` except the first.

        ``ngram`` reads as many as it counts at most: its counts are slow to look up.
        """
        scores = {"uniform": Score(math.log(self._size), len(text) - 1)}
        for name, model in self._counting().items():
            scores[name] = _score(text[:COUNTED_CHARACTERS] if name == "ngram" else text, *model)
        return scores

    def nats(self, text: Text) -> Iterator[tuple[str, Floats]]:
        """The negative log-probability of each of these characters, one baseline after the other."""
        yield "uniform", np.full(len(text) - 1, math.log(self._size))
        for name, (model, order) in self._counting().items():
            yield name, model.nats(text, order)

    def _counting(self) -> dict[str, tuple[NGrams, int]]:
        return {"unigram": (self._pairs, 1), "bigram": (self._pairs, 2), "ngram": (self._longer, self.order)}


def _score(text: Text, model: NGrams, order: int) -> Score:
    nats = sum(float(chunk.sum()) for chunk in model.nats_by_chunk(text, order))
    return Score(nats / (len(text) - 1), len(text) - 1)
