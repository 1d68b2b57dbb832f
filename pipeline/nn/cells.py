"""Recurrent cells, written from their equations.

These are the reference: short, differentiable by autograd, and slow. Everything faster in this package
is tested against them. Weights follow ``torch.nn``: rows of ``weight_hh`` are grouped by gate, in the
order the docstring of each cell gives.

Every cell has the same form: it takes the input's contribution ``x`` (already multiplied by
``weight_ih`` and with ``bias_ih`` added), the state as a tuple of tensors ``(batch_size, hidden_size)``,
and returns the new state, whose first entry is the output.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear

State = tuple[Tensor, ...]
"""Recurrent state: ``(h,)`` for RNN and GRU, ``(h, c)`` for LSTM."""


def rnn_tanh(x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> State:
    """Elman RNN: ``h' = tanh(x + W h + b)`` (Elman, 1990)."""
    return (torch.tanh(x + linear(state[0], weight_hh, bias_hh)),)


def rnn_relu(x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> State:
    """Elman RNN with ``relu`` in place of ``tanh``."""
    return (torch.relu(x + linear(state[0], weight_hh, bias_hh)),)


def gru(x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> State:
    """Gated recurrent unit (Cho et al., 2014), gates in the order reset, update, new.

    ``n = tanh(x_n + r * (W_n h + b_n))`` and ``h' = (1 - z) * n + z * h``: the reset gate acts after
    the matrix product, as in cuDNN and ``torch.nn.GRU``.
    """
    (h,) = state
    x_r, x_z, x_n = x.chunk(3, dim=-1)
    h_r, h_z, h_n = linear(h, weight_hh, bias_hh).chunk(3, dim=-1)
    reset = torch.sigmoid(x_r + h_r)
    update = torch.sigmoid(x_z + h_z)
    new = torch.tanh(x_n + reset * h_n)
    return ((1 - update) * new + update * h,)


def lstm(x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> State:
    """Long short-term memory (Hochreiter & Schmidhuber, 1997; forget gate: Gers et al., 2000).

    Gates in the order input, forget, cell, output: ``c' = f * c + i * g``, ``h' = o * tanh(c')``.
    """
    h, c = state
    i, f, g, o = (x + linear(h, weight_hh, bias_hh)).chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return (torch.sigmoid(o) * torch.tanh(c), c)


@dataclass(frozen=True)
class Cell:
    """What the rest of the package must know of a cell.

    ``gates``: rows of ``weight_hh`` in units of ``hidden_size``; ``states``: tensors in its state.
    """

    gates: int
    states: int
    step: Callable[[Tensor, State, Tensor, Tensor], State]


CELLS: dict[str, Cell] = {
    "rnn_tanh": Cell(gates=1, states=1, step=rnn_tanh),
    "rnn_relu": Cell(gates=1, states=1, step=rnn_relu),
    "gru": Cell(gates=3, states=1, step=gru),
    "lstm": Cell(gates=4, states=2, step=lstm),
}


def run_layer(kind: str, x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> tuple[Tensor, State]:
    """Run one layer over a sequence, one cell step at a time.

    ``x`` is ``(num_steps, batch_size, gates * hidden_size)``, each state ``(batch_size, hidden_size)``.
    Returns the outputs ``(num_steps, batch_size, hidden_size)`` and the last state.
    """
    step = CELLS[kind].step
    outputs = []
    for x_t in x:
        state = step(x_t, state, weight_hh, bias_hh)
        outputs.append(state[0])
    return torch.stack(outputs), state
