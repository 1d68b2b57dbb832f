"""Loss and what is read off it."""

import math


def perplexity(nats: float) -> float:
    """``exp`` of a mean negative log-likelihood: the vocabulary size for a uniform guess, 1 for perfect.

    Kept within what a float can hold, for models that have diverged.
    """
    return math.exp(min(nats, 700))
