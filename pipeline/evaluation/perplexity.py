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

from pipeline.data.batches import Minibatch, Text, lanes
from pipeline.errors import RefrainError
from pipeline.nn.cell import State
from pipeline.nn.language_model import CharLM, next_lanes
from pipeline.nn.loss import perplexity_of

SETTLING_CHUNKS = 64
"""Minibatches within which the states of lanes usually agree with those of the pass before."""


@dataclass(frozen=True)
class Score:
    """Mean negative log-likelihood per character, in nats, over ``characters`` predictions."""

    nats: float
    characters: int

    @property
    def perplexity(self) -> float:
        """``exp`` of the mean."""
        return perplexity_of(self.nats)

    def metrics(self) -> dict[str, float]:
        """The figures as they stand in ``reports/metrics.json``."""
        return {
            "perplexity": self.perplexity,
            "bits_per_character": self.nats / math.log(2),
            "nats_per_character": self.nats,
            "characters": self.characters,
        }


@torch.no_grad()
def score(model: CharLM, text: Text, batch_size: int = 32, num_steps: int = 128) -> Score:
    """Score of ``model`` on all characters of ``text`` but the first, the state carried throughout.

    For speed the text is read as ``batch_size`` lanes side by side. A lane should start from the state in
    which the one before it ends; all start from zero, and are then read again from their neighbours' last
    states until these change nothing any more. Recurrent networks forget their past, so a few minibatches
    are enough; at worst every lane is read ``batch_size`` times, and its beginning twice as often. The result
    is that of one long lane.

    Raises :class:`RefrainError` if it is not finite.
    """
    was_training = model.training
    model.eval()
    device = model.device
    targets = len(text) - 1
    length = targets // batch_size
    begins = length * np.arange(batch_size)
    chunks = partial(lanes, text, begins, range(length), num_steps, device)
    nats, last = _read_lanes(model, chunks, model.initial_state(batch_size))
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
    model: CharLM, chunks: Callable[[], Iterator[Minibatch]], start: State
) -> tuple[float, State]:
    """Summed loss, and the last state, of lanes that follow on one another and begin in state ``start``."""
    losses, beyond, state = [0.0], 0.0, start
    for _ in range(start[0].shape[1]):  # the first lane is right as it is, and after each pass one lane more
        ends: list[State] = []
        losses, beyond, state = [], 0.0, start
        for inputs, labels in chunks():
            loss, state = _read(model, inputs, labels, state)
            if len(ends) < SETTLING_CHUNKS:
                losses.append(loss)
                ends.append(state)
            else:
                beyond += loss
        if not math.isfinite(sum(losses) + beyond):
            break  # it will not get better
        start = again = next_lanes(state)
        for i, (inputs, labels) in enumerate(islice(chunks(), len(ends))):
            losses[i], again = _read(model, inputs, labels, again)
            if _same(again, ends[i]):  # and so is all that follows
                return sum(losses) + beyond, state
    return sum(losses) + beyond, state


def _read(model: CharLM, inputs: Tensor, labels: Tensor, state: State) -> tuple[float, State]:
    """Summed loss of one minibatch, added up in float64, and the state after it."""
    logits, state = model(inputs, state)
    losses = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return losses.cpu().double().sum().item(), state


def _same(state: State, other: State) -> bool:
    return all(torch.allclose(a, b, rtol=1e-6, atol=1e-6) for a, b in zip(state, other, strict=True))
