"""The sigmoid and the hyperbolic tangent, with the same bits on every x86-64 processor that has AVX2.

``torch.tanh`` is MKL's on x86-64, and its last bits depend on the processor's vendor. PyTorch computes the
sigmoid of whole vectors itself. What fills no vector, at the end of a row or of a thread's share, it leaves
to the C library, which rounds in another way. So here all numbers are in whole vectors, whatever the shape
and the number of threads.
"""

from typing import Any

import torch
from torch import Tensor

VECTORS = 16
"""Numbers that PyTorch computes at a time: two vectors of AVX2."""

SHARE = 32768
"""PyTorch divides an operation among threads if each gets about so many numbers."""

MINUS_ONE = torch.tensor(-1.0)


def sigmoid_(x: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``, in place."""
    if _fills_vectors(x) or x.dtype != torch.float32 or x.device.type != "cpu":
        return x.sigmoid_()
    size = x.numel()
    padded = x.new_zeros(_whole_vectors(size))
    copy = padded[:size].view(x.shape).copy_(x)
    padded.sigmoid_()
    return x.copy_(copy)


def tanh_(x: Tensor) -> Tensor:
    """:func:`tanh`, in place."""
    return tanh_of_half_(torch.add(x, x, out=x))


def tanh_of_half_(x: Tensor) -> Tensor:
    """``tanh(x / 2)``, in place."""
    # Operations with tensors take half as long as those with Python's numbers.
    return torch.add(MINUS_ONE, sigmoid_(x), alpha=2, out=x)


class _Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = sigmoid_(x.clone(memory_format=torch.contiguous_format))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        y: Tensor = ctx.saved_tensors[0]
        return grad * (y - y * y)


def sigmoid(x: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``, differentiable."""
    y: Tensor = _Sigmoid.apply(x)
    return y


def tanh(x: Tensor) -> Tensor:
    """``2 sigmoid(2 x) - 1``, differentiable. Its absolute error in float32 is below 2e-7."""
    return 2 * sigmoid(2 * x) - 1


def _fills_vectors(x: Tensor) -> bool:
    """Whether PyTorch finds only whole vectors in each row, and in each thread's share."""
    size = x.numel()
    if size <= SHARE and x.dim() and x.stride(-1) == 1 and x.shape[-1] % VECTORS == 0:
        return True
    return x.is_contiguous() and size == _whole_vectors(size)


def _whole_vectors(size: int) -> int:
    """The least number, from ``size``, that threads divide into equal shares of whole vectors."""
    while True:
        threads = max(1, min(torch.get_num_threads(), -(-size // SHARE)))
        rounded = -(-size // (threads * VECTORS)) * threads * VECTORS
        if rounded == size:
            return size
        size = rounded
