"""Perplexity of a model over a whole text, as if it were read in one go."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.data.batches import Minibatch, lanes
from pipeline.data.encoded import EncodedText
from pipeline.data.text import Text
from pipeline.errors import RefrainError
from pipeline.evaluation.losses import CharacterLosses
from pipeline.evaluation.score import Score
from pipeline.nn.cell import State
from pipeline.nn.language_model import CharLM, next_lanes

MAX_LANES = 32

LANE_CHARACTERS = 2048
"""Shorter lanes would be read again and again: some models remember hundreds of characters."""

SETTLING_MINIBATCHES = 64
"""After this many minibatches, the states of lanes are usually the same as in the previous pass."""


def score(model: CharLM, text: Text) -> Score:
    """The perplexity of ``model`` on ``text`` (see :func:`read`)."""
    targets = len(text) - 1
    return Score(read(model, text, None) / targets, targets)


def losses_of(model: CharLM, text: EncodedText, unk_id: int | None) -> CharacterLosses:
    """The loss of each character of ``text`` except the first (see :func:`read`)."""
    targets = max(len(text) - 1, 0)
    nats, is_unk = np.empty(targets, np.float32), np.zeros(targets, np.bool_)
    if targets:
        read(model, text, nats)
    if targets and unk_id is not None:
        is_unk[:] = np.concatenate([ids == unk_id for ids in text.chunks()])[1:]
    return CharacterLosses(nats, is_unk, text.sha256)


@torch.no_grad()
def read(
    model: CharLM,
    text: Text,
    losses: NDArray[np.float32] | None,
    batch_size: int | None = None,
    num_steps: int = 128,
) -> float:
    """Read a text, carrying the state throughout. Return the sum of the losses of all characters but the
    first, in nats, and write each to ``losses``, if given.

    For speed, the text is read as ``batch_size`` lanes side by side (None: as many as are worth it). A lane
    should start in the state in which the lane before it ends, but that is not known yet. So all lanes start
    in the zero state. Then their starts are read again from the last state of the lane before, until this no
    longer changes anything. Recurrent networks forget their past, so a few minibatches are enough. At worst,
    every lane is read ``batch_size`` times, and its start twice as often. The result is the same as for one
    long lane.

    Raises :class:`RefrainError` if the loss is not finite.
    """
    was_training = model.training
    model.eval()
    device = model.device
    targets = len(text) - 1
    batch_size = batch_size or min(MAX_LANES, max(1, targets // LANE_CHARACTERS))
    length = targets // batch_size
    in_lanes = length * batch_size
    begins = length * np.arange(batch_size)
    minibatches = partial(lanes, text, begins, range(length), num_steps, device)
    of_lanes = None if losses is None else losses[:in_lanes].reshape(batch_size, length)
    nats, last = _read_lanes(model, minibatches, model.initial_state(batch_size), of_lanes)
    state = tuple(tensor[:, -1:] for tensor in last)
    tail = None if losses is None else losses[in_lanes:].reshape(1, -1)
    rest = lanes(text, np.array([in_lanes]), range(targets - in_lanes), num_steps, device)
    for place, (inputs, labels) in _with_places(rest):
        loss, state = _read(model, inputs, labels, state, tail, place)
        nats += loss
    model.train(was_training)
    if not math.isfinite(nats):
        raise RefrainError(
            "the model's loss on this text is not finite: lower train.learning_rate or train.clip"
        )
    return nats


def _read_lanes(
    model: CharLM,
    minibatches: Callable[[], Iterator[Minibatch]],
    start: State,
    losses: NDArray[np.float32] | None,
) -> tuple[float, State]:
    """Summed loss and last state of consecutive lanes. In the first pass, they start in ``start``."""
    sums, beyond, state = [0.0], 0.0, start
    for _ in range(start[0].shape[1]):  # lane 0 is right at once, and one more lane after each pass
        ends: list[State] = []
        sums, beyond, state = [], 0.0, start
        for place, (inputs, labels) in _with_places(minibatches()):
            loss, state = _read(model, inputs, labels, state, losses, place)
            if len(ends) < SETTLING_MINIBATCHES:
                sums.append(loss)
                ends.append(state)
            else:
                beyond += loss
        if not math.isfinite(sum(sums) + beyond):
            break  # another pass would not help
        start = again = next_lanes(state)
        for i, (place, (inputs, labels)) in enumerate(_with_places(islice(minibatches(), len(ends)))):
            sums[i], again = _read(model, inputs, labels, again, losses, place)
            if _same(again, ends[i]):  # so everything after it is the same, too
                return sum(sums) + beyond, state
    return sum(sums) + beyond, state


def _with_places(minibatches: Iterator[Minibatch]) -> Iterator[tuple[int, Minibatch]]:
    """Minibatches, each with the number of time steps before it."""
    place = 0
    for minibatch in minibatches:
        yield place, minibatch
        place += len(minibatch[0])


def _read(
    model: CharLM,
    inputs: Tensor,
    labels: Tensor,
    state: State,
    losses: NDArray[np.float32] | None,
    place: int,
) -> tuple[float, State]:
    """Summed loss of one minibatch, added up in float64, and the state after it.

    ``losses`` ``(lanes, steps)``, if given, gets the loss of each character, from step ``place`` on.
    """
    logits, state = model(inputs, state)
    found = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").cpu()
    if losses is not None:
        losses[:, place : place + len(labels)] = found.view(labels.shape).t()
    return found.double().sum().item(), state


def _same(state: State, other: State) -> bool:
    return all(torch.allclose(a, b, rtol=1e-6, atol=1e-6) for a, b in zip(state, other, strict=True))
