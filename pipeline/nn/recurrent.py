"""Recurrent layers: their weights, and running a layer over a sequence in one of several implementations.

``reference`` steps through the cell's equations under autograd. ``fused`` has a backward pass derived by
hand. ``torch`` calls PyTorch's own layer (cuDNN on CUDA). They agree up to rounding. ``auto`` is the fastest
one that the cell has: ``fused`` on CPUs, ``torch`` on other devices, else ``reference``.
"""

from collections.abc import Callable
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.arithmetic.products import leave_order, linear
from pipeline.errors import RefrainError
from pipeline.nn.cell import Cell, State, Weights, run_equations

Implementation = Literal["auto", "reference", "torch", "fused"]
F = TypeVar("F")


class RecurrentWeights(nn.Module):
    """Weights of all layers, with the names, shapes and initialisation of ``torch.nn.RNN/GRU/LSTM``.

    With one-hot characters, the input weights are stored transposed: multiplying them by a one-hot vector
    then means reading one contiguous row.
    """

    def __init__(
        self, cell: Cell, vocab_size: int, embedding_size: int | None, hidden_size: int, num_layers: int
    ) -> None:
        super().__init__()
        rows = cell.gates * hidden_size
        bound = hidden_size**-0.5
        for layer in range(num_layers):
            if layer == 0 and not embedding_size:
                weight_ih = torch.empty(vocab_size, rows).t()
            else:
                weight_ih = torch.empty(rows, hidden_size if layer else embedding_size or vocab_size)
            weights = Weights(weight_ih, torch.empty(rows, hidden_size), torch.empty(rows), torch.empty(rows))
            for name, tensor in weights._asdict().items():
                self.register_parameter(f"{name}_l{layer}", nn.Parameter(tensor.uniform_(-bound, bound)))

    def layer(self, index: int) -> Weights:
        """The weights of one layer."""
        return Weights(*(self.get_parameter(f"{name}_l{index}") for name in Weights._fields))


def run_layer(
    implementation: Implementation, cell: Cell, inputs: Tensor, state: State, weights: Weights
) -> tuple[Tensor, State]:
    """Outputs ``(num_steps, batch_size, hidden_size)`` of one layer, and its last state.

    ``inputs`` are ids ``(num_steps, batch_size)`` of one-hot characters, or vectors
    ``(num_steps, batch_size, width)``. The tensors of a state are ``(batch_size, hidden_size)``. Raises
    :class:`RefrainError` if the cell lacks the ``implementation``.
    """
    if not len(inputs):
        return weights.weight_hh.new_empty(0, *state[0].shape), state
    if implementation == "auto":
        implementation = _fastest(cell, inputs.device)
    if implementation == "torch":
        return _run_torch(_form(cell.torch, "torch"), inputs, state, weights)
    if inputs.is_floating_point():
        x = linear(inputs, weights.weight_ih)
    else:
        x = functional.embedding(inputs, weights.weight_ih.t())
    if implementation == "fused":
        return _form(cell.fused, "fused")(x, state, weights)
    return run_equations(cell, x, state, weights)


def _fastest(cell: Cell, device: torch.device) -> Implementation:
    if device.type == "cpu":
        return "fused" if cell.fused else "reference"
    return "torch" if cell.torch else "reference"


def _form(form: F | None, name: str) -> F:
    if form is None:
        raise RefrainError(f"train.implementation: this cell has no implementation {name!r}: set it to auto")
    return form


def _run_torch(
    layer: Callable[..., tuple[Tensor, ...]], inputs: Tensor, state: State, weights: Weights
) -> tuple[Tensor, State]:
    if not inputs.is_floating_point():
        inputs = functional.one_hot(inputs, weights.weight_ih.shape[1]).to(weights.weight_ih.dtype)
    if inputs.device.type == "cpu":
        leave_order("train.implementation: torch leaves products to PyTorch")
    states = tuple(tensor.unsqueeze(0) for tensor in state)
    before = states if len(states) > 1 else states[0]
    flat = tuple(weight.contiguous() for weight in weights)
    with_gradients = torch.is_grad_enabled()
    output, *after = layer(inputs, before, flat, True, 1, 0.0, with_gradients, False, False)
    return output, tuple(tensor.squeeze(0) for tensor in after)
