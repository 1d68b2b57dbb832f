"""Helpers shared by the recurrent layers whose backward passes are derived by hand.

Autograd records a dozen small operations for each time step. In the fused forms of :mod:`pipeline.nn.cells`,
a whole layer is a single autograd function. Its forward pass writes all gates in place into one buffer. Its
backward pass first computes, for all time steps at once, every factor that does not depend on the incoming
gradient. It then goes back through time with one matrix product per step. One large product at the end gives
the gradient of the recurrent weights.

In comments, ``dh`` is the derivative of the loss with respect to a step's output, and ``da`` with respect to
a gate before its nonlinearity. All sequences are ``(num_steps, batch_size, ...)``. Second derivatives are not
supported.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor

from pipeline.arithmetic.libraries import Multiply
from pipeline.arithmetic.products import multiplier, product

SMALL_PRODUCT = 1 << 22
"""Matrix products with fewer multiplications than this are not worth rounding to bfloat16."""


@contextmanager
def step_products(h: Tensor, w: Tensor) -> Iterator[Multiply]:
    """Yield the function that computes the product of a time step, ``h W``.

    Small products have full precision in the block. Rounding small operands takes longer than it saves:
    ``medium`` would be both slower and less exact.
    """
    precision = torch.get_float32_matmul_precision()
    if precision == "highest" or len(h) * w.numel() > SMALL_PRODUCT:
        yield multiplier(h, w)
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield multiplier(h, w)
    finally:
        torch.set_float32_matmul_precision(precision)


def state_sequence(first: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Memory for the state ``first`` and ``steps`` more, and a view of it without ``first``."""
    states = first.new_empty(steps + 1, *first.shape)
    states[0] = first
    return states, states[1:]


def state_gradients(grad_output: Tensor) -> tuple[Tensor, Iterator[tuple[Tensor, Tensor]]]:
    """The gradient of the initial state, and pairs of ``dh`` from the last time step to the first.

    A pair holds the ``dh`` of a step and the ``dh`` of the step before it. The backward pass adds to the
    latter what flows back through time. For the first step, the latter is the gradient of the initial state.
    """
    dh = grad_output.new_empty(len(grad_output) + 1, *grad_output.shape[1:])
    dh[0] = 0
    dh[1:] = grad_output
    backwards = dh.unbind()[::-1]
    return dh[0], pairwise(backwards)


def recurrent_weight_gradient(da: Tensor, h_previous: Tensor) -> Tensor:
    """Gradient of ``weight_hh``, summed over steps and batch in one product."""
    return product(da.flatten(0, 1).t(), h_previous.flatten(0, 1))


def tanh_slope(y: Tensor) -> Tensor:
    """The derivative of tanh, given its value ``y``: ``1 - y^2``."""
    return torch.addcmul(y.new_ones(()), y, y, value=-1)


def sigmoid_slope(y: Tensor) -> Tensor:
    """The derivative of the sigmoid, given its value ``y``: ``y - y^2``."""
    return torch.addcmul(y, y, y, value=-1)
