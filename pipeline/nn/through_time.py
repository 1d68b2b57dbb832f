"""What recurrent layers with backward passes derived by hand have in common.

Autograd records a dozen small operations for each time step. In the fused forms of :mod:`pipeline.nn.cells`,
a whole layer is one autograd function: the forward pass writes each gate in place into one buffer; the
backward pass first computes, for all time steps at once, every factor that does not depend on the incoming
gradient, then walks back through time with one matrix product a step, and leaves the gradient of the
recurrent weights to a single large product at the end.

In comments, ``dh`` is the derivative of the loss by a step's output and ``da`` by a gate before its
nonlinearity. All sequences are ``(num_steps, batch_size, ...)``. Second derivatives are not supported.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor

SMALL_PRODUCT = 1 << 22
"""Multiplications below which a product's operands are not worth rounding to bfloat16."""


@contextmanager
def step_products(h: Tensor, w: Tensor) -> Iterator[None]:
    """Compute the products of a time step, ``h W``, in full precision while they are small.

    Rounding their operands takes longer than it saves: ``medium`` would be slower and less exact.
    """
    precision = torch.get_float32_matmul_precision()
    if precision == "highest" or len(h) * w.numel() > SMALL_PRODUCT:
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)


def state_sequence(first: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Memory for a sequence of states that begins with ``first``, and the view of it without ``first``."""
    states = first.new_empty(steps + 1, *first.shape)
    states[0] = first
    return states, states[1:]


def state_gradients(grad_output: Tensor) -> tuple[Tensor, Iterator[tuple[Tensor, Tensor]]]:
    """The gradient of the initial state, and pairs of ``dh`` from the last time step to the first.

    A pair is the ``dh`` of a step and that of the step before, to which the backward pass adds what flows
    back. What the first step adds is the gradient of the initial state.
    """
    dh = grad_output.new_empty(len(grad_output) + 1, *grad_output.shape[1:])
    dh[0] = 0
    dh[1:] = grad_output
    backwards = dh.unbind()[::-1]
    return dh[0], pairwise(backwards)


def recurrent_weight_gradient(da: Tensor, h_previous: Tensor) -> Tensor:
    """Gradient of ``weight_hh``, summed over steps and batch in one product."""
    return da.flatten(0, 1).t() @ h_previous.flatten(0, 1)


def tanh_slope(y: Tensor, out: Tensor | None = None) -> Tensor:
    """The derivative of tanh, from its value: ``1 - y^2``."""
    return torch.addcmul(y.new_ones(()), y, y, value=-1, out=out)


def sigmoid_slope(y: Tensor) -> Tensor:
    """The derivative of the sigmoid, from its value: ``y - y^2``."""
    return torch.addcmul(y, y, y, value=-1)
