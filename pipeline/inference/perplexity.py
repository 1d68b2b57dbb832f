"""Perplexity of a model over a whole text, as if it were read in one go."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import RefrainError
from pipeline.nn.cells import State
from pipeline.nn.language_model import CharLM, next_lanes
from pipeline.nn.loss import perplexity
from pipeline.text.batches import Batch


@dataclass(frozen=True)
class Score:
    """Mean negative log-likelihood per character, in nats, over ``characters`` predictions."""

    nats: float
    characters: int

    @property
    def perplexity(self) -> float:
        """``exp`` of the mean."""
        return perplexity(self.nats)

    def metrics(self) -> dict[str, float]:
        """The figures as they stand in ``reports/metrics.json``."""
        return {
            "perplexity": self.perplexity,
            "bits_per_character": self.nats / math.log(2),
            "nats_per_character": self.nats,
            "characters": self.characters,
        }


@torch.no_grad()
def score(model: CharLM, ids: Tensor, batch_size: int = 32, num_steps: int = 128) -> Score:
    """Score of ``model`` on all characters of ``ids`` ``(n,)`` but the first, the state carried throughout.

    For speed the text is read as ``batch_size`` lanes side by side. A lane should start from the state in
    which the one before it ends; all start from zero, and are then read again from their neighbours' last
    states until these change nothing any more. Recurrent networks forget their past, so a few minibatches
    are enough; at worst every lane is read ``batch_size`` times. The result is that of one long lane.

    Raises :class:`RefrainError` if it is not finite.
    """
    was_training = model.training
    model.eval()
    targets = len(ids) - 1
    length = targets // batch_size
    lanes = ids[: length * batch_size].view(batch_size, length).t()
    labels = ids[1 : length * batch_size + 1].view(batch_size, length).t()
    chunks = list(zip(lanes.split(num_steps), labels.split(num_steps), strict=True)) if length else []
    losses, last = _read_lanes(model, chunks, model.initial_state(batch_size))
    rest = ids[length * batch_size :].unsqueeze(1)
    tail, _ = _read(model, rest[:-1], rest[1:], tuple(tensor[:, -1:] for tensor in last))
    model.train(was_training)
    nats = (sum(losses) + tail) / targets
    if not math.isfinite(nats):
        raise RefrainError(
            "the model's loss on this text is not finite: lower train.learning_rate or train.clip"
        )
    return Score(nats, targets)


def _read_lanes(model: CharLM, chunks: list[Batch], state: State) -> tuple[list[float], State]:
    """Summed losses of the chunks, and the last state, of lanes that follow on one another."""
    losses: list[float] = []
    ends: list[State] = []
    start = state
    for inputs, labels in chunks:
        loss, state = _read(model, inputs, labels, state)
        losses.append(loss)
        ends.append(state)
    start, moved = _settle(model, chunks, ends, start)
    for i, (inputs, labels) in enumerate(chunks[:moved]):
        losses[i], start = _read(model, inputs, labels, start)
    return losses, ends[-1] if ends else state


def _settle(model: CharLM, chunks: list[Batch], ends: list[State], start: State) -> tuple[State, int]:
    """Correct ``ends``, the states after each chunk, for lanes that follow on one another.

    Returns the states in which the lanes start, and up to which chunk this makes a difference.
    """
    moved = 0
    # The first lane is right as it is, and after each pass one lane more.
    for _ in range(start[0].shape[1] if chunks else 0):
        start = state = next_lanes(ends[-1])
        for i, (inputs, _) in enumerate(chunks):
            _, state = model.outputs(inputs, state)
            if _same(state, ends[i]):
                return start, max(moved, i + 1)
            ends[i] = state
            moved = max(moved, i + 1)
    return start, moved


def _read(model: CharLM, inputs: Tensor, labels: Tensor, state: State) -> tuple[float, State]:
    """Summed loss of one minibatch, added up in float64, and the state after it."""
    logits, state = model(inputs, state)
    losses = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return losses.cpu().double().sum().item(), state


def _same(state: State, other: State) -> bool:
    return all(torch.allclose(a, b, rtol=1e-6, atol=1e-6) for a, b in zip(state, other, strict=True))
