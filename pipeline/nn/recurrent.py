"""One recurrent layer over a sequence, by one of three implementations that agree with each other.

``reference`` steps through the equations of :mod:`pipeline.nn.cells` under autograd, ``fused`` has the
backward passes of :mod:`pipeline.nn.fused`, and ``torch`` calls PyTorch's own layers (cuDNN on CUDA).
``auto`` is the fastest of them: ``fused`` on CPUs, ``torch`` on other devices.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.nn import cells, fused
from pipeline.nn.cells import State

Implementation = Literal["auto", "reference", "torch", "fused"]
Weights = tuple[Tensor, Tensor, Tensor, Tensor]
"""``weight_ih, weight_hh, bias_ih, bias_hh``, in the shapes of ``torch.nn``."""

_TORCH = {"rnn_tanh": torch.rnn_tanh, "rnn_relu": torch.rnn_relu, "gru": torch.gru, "lstm": torch.lstm}


def run_layer(
    implementation: Implementation, kind: str, inputs: Tensor, state: State, weights: Weights
) -> tuple[Tensor, State]:
    """Outputs ``(num_steps, batch_size, hidden_size)`` and the last state.

    ``inputs`` are ids ``(num_steps, batch_size)``, standing for one-hot vectors, or vectors
    ``(num_steps, batch_size, width)``; each state is ``(batch_size, hidden_size)``.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    if implementation == "auto":
        implementation = "fused" if inputs.device.type == "cpu" else "torch"
    if not len(inputs):
        return weight_hh.new_empty(0, *state[0].shape), state
    if implementation == "torch":
        return _run_torch(kind, inputs, state, weights)
    if inputs.is_floating_point():
        x = functional.linear(inputs, weight_ih)
    else:
        x = functional.embedding(inputs, weight_ih.t())
    if implementation == "fused":
        return fused.run_layer(kind, x, state, weight_hh, bias_ih, bias_hh)
    return cells.run_layer(kind, x + bias_ih, state, weight_hh, bias_hh)


def _run_torch(kind: str, inputs: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    weight_ih = weights[0]
    if not inputs.is_floating_point():
        inputs = functional.one_hot(inputs, weight_ih.shape[1]).to(weight_ih.dtype)
    states = tuple(tensor.unsqueeze(0) for tensor in state)
    before = states if kind == "lstm" else states[0]
    flat = tuple(weight.contiguous() for weight in weights)
    with_gradients = torch.is_grad_enabled()
    output, *after = _TORCH[kind](inputs, before, flat, True, 1, 0.0, with_gradients, False, False)  # type: ignore[operator]
    return output, tuple(tensor.squeeze(0) for tensor in after)
