"""Perplexity of a model over a whole text, as if it were read in one go."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.nn.cells import State
from pipeline.nn.language_model import CharLM, next_lanes
from pipeline.nn.loss import perplexity


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
    """
    was_training = model.training
    model.eval()
    targets = len(ids) - 1
    length = targets // batch_size
    lanes = ids[: length * batch_size].view(batch_size, length).t()
    labels = ids[1 : length * batch_size + 1].view(batch_size, length).t()
    starts = range(0, length, num_steps)
    losses = torch.zeros(len(starts), dtype=torch.float64)
    ends: list[State] = []
    state = model.initial_state(batch_size)
    for i, start in enumerate(starts):
        losses[i], state = _read(
            model, lanes[start : start + num_steps], labels[start : start + num_steps], state
        )
        ends.append(state)
    settled = not ends
    while not settled:
        state = next_lanes(ends[-1])
        for i, start in enumerate(starts):
            losses[i], state = _read(
                model, lanes[start : start + num_steps], labels[start : start + num_steps], state
            )
            settled = _same(state, ends[i])
            if settled:
                break
            ends[i] = state
    last = tuple(tensor[:, -1:] for tensor in ends[-1]) if ends else model.initial_state(1)
    rest = ids[length * batch_size :].unsqueeze(1)
    tail, _ = _read(model, rest[:-1], rest[1:], last)
    model.train(was_training)
    return Score((losses.sum().item() + tail.item()) / targets, targets)


def _read(model: CharLM, inputs: Tensor, labels: Tensor, state: State) -> tuple[Tensor, State]:
    """Summed loss of one minibatch, in float64, and the state after it."""
    logits, state = model(inputs, state)
    losses = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return losses.cpu().double().sum(), state


def _same(state: State, other: State) -> bool:
    return all(torch.allclose(a, b, rtol=1e-6, atol=1e-6) for a, b in zip(state, other, strict=True))
