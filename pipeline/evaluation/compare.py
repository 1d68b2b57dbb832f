"""Comparing two models on the same characters."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.arithmetic.rounding import six_digits
from pipeline.evaluation.bootstrap import interval
from pipeline.evaluation.difference import Verdict
from pipeline.evaluation.losses import CharacterLosses
from pipeline.evaluation.score import perplexity_of


@dataclass(frozen=True)
class Change:
    """The change in perplexity from one model to another on a held-out text.

    ``change`` is relative (0.01: one per cent worse), with its 95% interval from ``low`` to ``high``.
    ``seed_half_width`` is the part of another seed, already in the interval: half a width of the ratio's
    logarithm. ``characters`` were compared. ``left_out`` were not, because one of the models does not know
    them.
    """

    before: float
    after: float
    change: float
    low: float | None
    high: float | None
    seed_half_width: float
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


def compare(before: CharacterLosses, after: CharacterLosses, seed_half_width: float = 0.0) -> Change | None:
    """The change on the characters that both models know. None if there is none, or if a loss is not finite.

    Both texts must be the same. The interval is that of the mean of paired differences: a passage that is
    hard for both models does not widen it. ``seed_half_width`` is half the width of the interval of what
    another seed would change of the mean. It is independent of the text's, so their squares add up.
    """
    known = ~(before.is_unk | after.is_unk)
    pair = [losses.nats[known].astype(np.float64) for losses in (before, after)]
    characters = int(known.sum())
    if not characters or not all(np.isfinite(nats).all() for nats in pair):
        return None
    means = [math.fsum(nats) / characters for nats in pair]  # exact, so whatever the processor's order
    difference = means[1] - means[0]
    ends = interval(pair[1] - pair[0])
    low = high = None
    if ends is not None:
        half = math.hypot((ends[1] - ends[0]) / 2, seed_half_width)
        low, high = (six_digits(math.expm1(difference + side * half)) for side in (-1, 1))
    return Change(
        before=six_digits(perplexity_of(means[0])),
        after=six_digits(perplexity_of(means[1])),
        change=six_digits(math.expm1(difference)),
        low=low,
        high=high,
        seed_half_width=six_digits(seed_half_width),
        characters=characters,
        left_out=len(known) - characters,
    )
