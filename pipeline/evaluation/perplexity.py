"""Perplexity of a model over a whole text, as if it were read in one go."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.arithmetic.rounding import six_digits
from pipeline.data.batches import Minibatch, Text, lanes
from pipeline.errors import RefrainError
from pipeline.nn.cell import State
from pipeline.nn.language_model import CharLM, next_lanes
from pipeline.nn.loss import perplexity_of

MAX_LANES = 32

LANE_CHARACTERS = 2048
"""Shorter lanes would be read again and again: some models remember hundreds of characters."""

SETTLING_MINIBATCHES = 64
"""After this many minibatches, the states of lanes are usually the same as in the previous pass."""


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


@torch.no_grad()
def score(model: CharLM, text: Text, batch_size: int | None = None, num_steps: int = 128) -> Score:
    """Score ``model`` on all characters of ``text`` except the first, carrying the state throughout.

    For speed, the text is read as ``batch_size`` lanes side by side (None: as many as are worth it). A lane should start in the state in
    which the lane before it ends, but that is not known yet. So all lanes start in the zero state. Then their
    starts are read again from the last state of the lane before, until this no longer changes anything.
    Recurrent networks forget their past, so a few minibatches are enough. At worst, every lane is read
    ``batch_size`` times, and its start twice as often. The result is the same as for one long lane.

    Raises :class:`RefrainError` if the loss is not finite.
    """
    was_training = model.training
    model.eval()
    device = model.device
    targets = len(text) - 1
    batch_size = batch_size or min(MAX_LANES, max(1, targets // LANE_CHARACTERS))
    length = targets // batch_size
    begins = length * np.arange(batch_size)
    minibatches = partial(lanes, text, begins, range(length), num_steps, device)
    nats, last = _read_lanes(model, minibatches, model.initial_state(batch_size))
    state = tuple(tensor[:, -1:] for tensor in last)
    tail = range(targets - length * batch_size)
    for inputs, labels in lanes(text, np.array([length * batch_size]), tail, num_steps, device):
        loss, state = _read(model, inputs, labels, state)
        nats += loss
    model.train(was_training)
    if not math.isfinite(nats):
        raise RefrainError(
            "the model's loss on this text is not finite: lower train.learning_rate or train.clip"
        )
    return Score(nats / targets, targets)


def _read_lanes(
    model: CharLM, minibatches: Callable[[], Iterator[Minibatch]], start: State
) -> tuple[float, State]:
    """Summed loss and last state of consecutive lanes. In the first pass, they start in ``start``."""
    losses, beyond, state = [0.0], 0.0, start
    for _ in range(start[0].shape[1]):  # lane 0 is right at once, and one more lane after each pass
        ends: list[State] = []
        losses, beyond, state = [], 0.0, start
        for inputs, labels in minibatches():
            loss, state = _read(model, inputs, labels, state)
            if len(ends) < SETTLING_MINIBATCHES:
                losses.append(loss)
                ends.append(state)
            else:
                beyond += loss
        if not math.isfinite(sum(losses) + beyond):
            break  # another pass would not help
        start = again = next_lanes(state)
        for i, (inputs, labels) in enumerate(islice(minibatches(), len(ends))):
            losses[i], again = _read(model, inputs, labels, again)
            if _same(again, ends[i]):  # so everything after it is the same, too
                return sum(losses) + beyond, state
    return sum(losses) + beyond, state


def _read(model: CharLM, inputs: Tensor, labels: Tensor, state: State) -> tuple[float, State]:
    """Summed loss of one minibatch, added up in float64, and the state after it."""
    logits, state = model(inputs, state)
    losses = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return losses.cpu().double().sum().item(), state


def _same(state: State, other: State) -> bool:
    return all(torch.allclose(a, b, rtol=1e-6, atol=1e-6) for a, b in zip(state, other, strict=True))
