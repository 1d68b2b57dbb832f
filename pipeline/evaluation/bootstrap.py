"""How sure a mean loss is: confidence intervals by a moving-block bootstrap."""

import math

import numpy as np
from numpy.typing import NDArray

Losses = NDArray[np.float32] | NDArray[np.float64]

LEAST_CHARACTERS = 500
"""Shorter texts have no interval: their blocks would be shorter than many a song or a scene."""

ROOTS, LEAST_BLOCKS = 10, 3
"""A block has ``ROOTS`` times the square root of the characters, and a text at least ``LEAST_BLOCKS``."""


def interval(losses: Losses) -> tuple[float, float] | None:
    """The 95% confidence interval of the mean of ``losses``, which follow each other and may be dependent.

    ``losses`` holds the nats of each character of a text, or the differences of two models' nats on the same
    characters. ``exp`` of both ends is the interval of the perplexity, or of the ratio of the perplexities.
    There is none, and the result is ``None``, if there are fewer than :data:`LEAST_CHARACTERS`.

    Raises :class:`ValueError` if a loss is not finite.
    """
    if len(losses) < LEAST_CHARACTERS:
        return None
    return interval_by_blocks(losses, block_length(len(losses)))


def block_length(characters: int) -> int:
    """How many characters a block has: ``10 sqrt(n)``, and at most a third of the text.

    Lazarus, Lewis, Stock & Watson ("HAR inference: recommendations for practice", 2018) recommend
    ``1.3 sqrt(n)``, for dependence over a few steps. Losses of characters depend on each other over whole
    songs or scenes, but so weakly that rules which look at the autocorrelations of a short text do not see
    it. So the factor is one that is enough for levels that 20 to 200 characters share
    (``python -m benchmarks.coverage``). If thousands of characters share a level, the intervals of short
    texts are too narrow.
    """
    return min(math.isqrt(ROOTS**2 * characters), characters // LEAST_BLOCKS)


def interval_by_blocks(losses: Losses, length: int) -> tuple[float, float]:
    """The interval from blocks of ``length`` characters, which may be at most half of the text.

    The moving-block bootstrap (Künsch, 1989) draws blocks from all places of the text, and takes the spread
    of their mean. The text is read as a ring, so each character is in as many blocks (Politis & Romano,
    1992). Nothing is drawn here, for the variance of that mean is known: it is the variance of one block's
    mean, divided by the number of blocks. Blocks are compared with the mean of the same text, so it is too
    small by the part of the text that a block has, and corrected. Student's t allows for its own uncertainty.
    """
    characters = len(losses)
    # cumsum adds one after the other, on any processor; the order of sum depends on the processor.
    sums = np.cumsum(np.concatenate([[0.0], losses, losses[: length - 1]]))
    mean = float(sums[characters]) / characters
    if not math.isfinite(mean):
        raise ValueError("losses have an interval only if all are finite")
    squares = ((sums[length:] - sums[:-length]) / length - mean) ** 2
    part = length / characters
    variance = float(np.cumsum(squares)[-1]) / characters * part / (1 - part)
    half = student_quantile(degrees_of_freedom(part)) * math.sqrt(variance)
    return mean - half, mean + half


def degrees_of_freedom(part: float) -> float:
    """Degrees of freedom of the variance from all blocks that have this ``part`` of the text, at most half.

    They are twice the square of the variance's mean, divided by the variance's own variance, if a block is
    much longer than the dependence. Sums of blocks that start ``s`` apart then have the covariance
    ``max(part - s, 0) - part**2`` (the text as 1), whose mean square around the ring is
    ``part**3 (2/3 - part)``. With many blocks, there are 1.5 for each (Meketon & Schmeiser, 1984).
    """
    return (1 - part) ** 2 / (part * (2 / 3 - part))


def student_quantile(degrees: float) -> float:
    """The 97.5% quantile of Student's t, to three digits from 4 degrees of freedom on.

    Abramowitz & Stegun (1964), 26.7.5: a series in ``1 / degrees``.
    """
    terms = (1.959964, 2.372271, 2.822502, 2.555852, 1.589536)
    return sum(term / degrees**power for power, term in enumerate(terms))
