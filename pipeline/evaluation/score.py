"""Figures of how well a text was predicted."""

import math
from dataclasses import dataclass

from pipeline.arithmetic.rounding import six_digits
from pipeline.evaluation.bootstrap import Losses, interval


def perplexity_of(nats: float) -> float:
    """``exp`` of a mean negative log-likelihood: 1 if perfect, the vocabulary size for a uniform guess.

    Capped, so that a diverged model does not overflow a float.
    """
    return math.exp(min(nats, 700))


@dataclass(frozen=True)
class Score:
    """Mean negative log-likelihood per character, in nats, over ``characters`` predictions."""

    nats: float
    characters: int

    @property
    def perplexity(self) -> float:
        """``exp`` of the mean negative log-likelihood."""
        return perplexity_of(self.nats)

    def metrics(self) -> dict[str, float]:
        """The figures for ``reports/metrics.json``."""
        return {
            "perplexity": six_digits(self.perplexity),
            "bits_per_character": six_digits(self.nats / math.log(2)),
            "nats_per_character": six_digits(self.nats),
            "characters": self.characters,
        }


def metrics_of(losses: Losses) -> dict[str, float]:
    """The figures for ``reports/metrics.json`` from the nats of each character.

    Perplexity has its 95% interval, unless the text is too short for one.
    """
    characters = len(losses)
    # An exact sum does not depend on the order, which in NumPy depends on the processor.
    figures = Score(math.fsum(losses) / characters, characters).metrics()
    ends = interval(losses)
    if ends:
        figures["perplexity_low"], figures["perplexity_high"] = (
            six_digits(perplexity_of(end)) for end in ends
        )
    return figures
