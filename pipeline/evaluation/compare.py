"""Comparing two models on the same characters."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.arithmetic.rounding import six_digits
from pipeline.evaluation.bootstrap import interval
from pipeline.evaluation.losses import CharacterLosses
from pipeline.evaluation.score import perplexity_of

NORMAL_QUANTILE = 1.96

Verdict = Literal["better", "worse", "no difference shown", "too short for an interval", "not compared"]


@dataclass(frozen=True)
class Change:
    """The change in perplexity from one model to another on a held-out text.

    ``change`` is relative (0.01: one per cent worse), with its 95% interval from ``low`` to ``high``.
    ``characters`` were compared. ``left_out`` were not, because one of the models does not know them.
    """

    before: float
    after: float
    change: float
    low: float | None
    high: float | None
    characters: int
    left_out: int

    @property
    def verdict(self) -> Verdict:
        """What the interval shows."""
        if self.low is None or self.high is None:
            return "too short for an interval"
        if self.low > 0:
            return "worse"
        return "better" if self.high < 0 else "no difference shown"


def compare(before: CharacterLosses, after: CharacterLosses, spread: float = 0.0) -> Change | None:
    """The change on the characters that both models know. None if there is none, or if a loss is not finite.

    Both texts must be the same. The interval is that of the mean of paired differences: a passage that is
    hard for both models does not widen it. ``spread``, if known, is the relative standard deviation of the
    perplexity between trainings with different seeds. It is added, for each of the two models.
    """
    known = ~(before.is_unk | after.is_unk)
    pair = [losses.nats[known].astype(np.float64) for losses in (before, after)]
    characters = int(known.sum())
    if not characters or not all(np.isfinite(nats).all() for nats in pair):
        return None
    # cumsum adds one after the other, on any processor; the order of sum depends on the processor.
    means = [float(np.cumsum(nats)[-1]) / characters for nats in pair]
    difference = means[1] - means[0]
    ends = interval(pair[1] - pair[0])
    low, high = (None, None) if ends is None else _widened(difference, ends, spread)
    return Change(
        before=six_digits(perplexity_of(means[0])),
        after=six_digits(perplexity_of(means[1])),
        change=six_digits(math.expm1(difference)),
        low=None if low is None else six_digits(math.expm1(low)),
        high=None if high is None else six_digits(math.expm1(high)),
        characters=characters,
        left_out=len(known) - characters,
    )


def _widened(middle: float, ends: tuple[float, float], spread: float) -> tuple[float, float]:
    """The interval with the variance of two trainings added."""
    half = math.hypot(ends[1] - middle, NORMAL_QUANTILE * math.sqrt(2) * spread)
    return middle - half, middle + half
