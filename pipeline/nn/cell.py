"""A recurrent cell: one record that holds all its forms.

Weights follow ``torch.nn``: the rows of ``weight_ih`` and ``weight_hh`` are grouped by gate, in the order
that each cell's docstring gives.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

State = tuple[Tensor, ...]
"""The hidden state: ``(h,)`` for RNN and GRU, ``(h, c)`` for LSTM; each ``(batch_size, hidden_size)``."""


class Weights(NamedTuple):
    """Weights of one layer, in the shapes of ``torch.nn``."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor


@dataclass(frozen=True)
class StepWeights:
    """Weights of one layer, arranged for generation.

    The cell gets an input ``(streams, width)`` as ``input @ inputs + bias``. ``recurrent`` holds whatever
    else the cell needs.
    """

    inputs: Tensor
    bias: Tensor
    recurrent: tuple[Tensor, ...]


@dataclass(frozen=True)
class Stepwise:
    """A cell's form for generation. Time steps cannot be batched there, so constants are prepared in advance.

    ``arrange`` prepares the weights of a layer once. ``step`` takes the input as :class:`StepWeights` says,
    the state and the ``recurrent`` weights, and returns the new state.
    """

    arrange: Callable[[Weights], StepWeights]
    step: Callable[[Tensor, State, tuple[Tensor, ...]], State]


@dataclass(frozen=True)
class Cell:
    """All forms of a cell. ``weight_hh`` has ``gates * hidden_size`` rows. The state consists of ``states``
    tensors; the first is the output.

    ``equations(x, state, weight_hh, bias_hh)`` computes one time step and is differentiable by autograd.
    ``x`` is the input, already multiplied by ``weight_ih`` and with ``bias_ih`` added. A cell needs nothing
    else. The other forms are faster and are tested against the equations. ``fused(x, state, weights)`` runs a
    whole sequence ``x`` ``(num_steps, batch_size, gates * hidden_size)``, without ``bias_ih``, and has a
    backward pass derived by hand. ``torch`` is PyTorch's own function. ``stepwise`` is for generation.
    """

    gates: int
    states: int
    equations: Callable[[Tensor, State, Tensor, Tensor], State]
    fused: Callable[[Tensor, State, Weights], tuple[Tensor, State]] | None = None
    torch: Callable[..., tuple[Tensor, ...]] | None = None
    stepwise: Stepwise | None = None

    @property
    def generation(self) -> Stepwise:
        """The form for generation: ``stepwise`` if the cell has it, else the equations."""
        return self.stepwise or Stepwise(
            lambda w: StepWeights(w.weight_ih.t(), w.bias_ih, (w.weight_hh, w.bias_hh)),
            lambda x, state, recurrent: self.equations(x, state, *recurrent),
        )


def run_equations(cell: Cell, x: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """Run a cell's equations over a sequence, one time step after the other.

    ``x`` has the shape that :attr:`Cell.fused` takes. Returns the outputs
    ``(num_steps, batch_size, hidden_size)`` and the last state.
    """
    outputs = []
    for x_t in x + weights.bias_ih:
        state = cell.equations(x_t, state, weights.weight_hh, weights.bias_hh)
        outputs.append(state[0])
    return torch.stack(outputs), state


def arrange_one_product(weights: Weights) -> StepWeights:
    """Arrange weights of a cell whose gates all depend on ``x + W h + b``: both biases go into the input."""
    bias = weights.bias_ih + weights.bias_hh
    return StepWeights(weights.weight_ih.t().contiguous(), bias, (weights.weight_hh.t().contiguous(),))
