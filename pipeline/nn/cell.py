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
class Stepwise:
    """A layer prepared for generation, where time steps cannot be batched.

    ``step(x, recurrent, state)`` returns the new state. ``x`` is the layer's input ``@ inputs + bias``.
    ``recurrent`` is the output of the step before ``@ self.recurrent``.
    """

    inputs: Tensor
    bias: Tensor
    recurrent: Tensor
    step: Callable[[Tensor, Tensor, State], State]


@dataclass(frozen=True)
class Cell:
    """All forms of a cell. ``weight_hh`` has ``gates * hidden_size`` rows. The state consists of ``states``
    tensors; the first is the output.

    ``equations(x, state, weight_hh, bias_hh)`` computes one time step and is differentiable by autograd.
    ``x`` is the input, already multiplied by ``weight_ih`` and with ``bias_ih`` added. A cell needs nothing
    else. The other forms are faster and are tested against the equations. ``fused(x, state, weights)`` runs a
    whole sequence ``x`` ``(num_steps, batch_size, gates * hidden_size)``, without ``bias_ih``, and has a
    backward pass derived by hand. ``torch`` is PyTorch's own function.
    ``stepwise(weights)`` prepares a layer for generation.
    """

    gates: int
    states: int
    equations: Callable[[Tensor, State, Tensor, Tensor], State]
    fused: Callable[[Tensor, State, Weights], tuple[Tensor, State]] | None = None
    torch: Callable[..., tuple[Tensor, ...]] | None = None
    stepwise: Callable[[Weights], Stepwise] | None = None

    def prepare_steps(self, weights: Weights) -> Stepwise:
        """A layer with these weights for generation: by ``stepwise``, or else by the equations."""
        if self.stepwise:
            return self.stepwise(weights)
        none = weights.weight_hh.t()[:, :0]  # the equations multiply by weight_hh themselves
        return Stepwise(
            weights.weight_ih.t(),
            weights.bias_ih,
            none,
            lambda x, _, state: self.equations(x, state, weights.weight_hh, weights.bias_hh),
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


def stepwise_of_one_product(weights: Weights, step: Callable[[Tensor, Tensor, State], State]) -> Stepwise:
    """For a cell whose gates all depend on ``x + W h + b``: both biases go into the input."""
    bias = weights.bias_ih + weights.bias_hh
    return Stepwise(weights.weight_ih.t().contiguous(), bias, weights.weight_hh.t(), step)
