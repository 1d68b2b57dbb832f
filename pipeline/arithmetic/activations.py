"""The hyperbolic tangent, from PyTorch's sigmoid.

``torch.tanh`` is MKL's on x86-64, and its last bits depend on the processor's vendor. The sigmoid is
PyTorch's own: its bits are the same on all processors with the same vector width.
"""

import torch
from torch import Tensor


def tanh(x: Tensor) -> Tensor:
    """``2 sigmoid(2 x) - 1``. Its absolute error is a unit in the last place of 1."""
    return 2 * torch.sigmoid(2 * x) - 1


def tanh_(x: Tensor) -> Tensor:
    """:func:`tanh`, in place."""
    return from_sigmoid_(x.mul_(2).sigmoid_())


def from_sigmoid_(y: Tensor) -> Tensor:
    """``tanh(x)`` from ``y = sigmoid(2 x)``, in place."""
    return y.mul_(2).sub_(1)
