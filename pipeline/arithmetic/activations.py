"""The hyperbolic tangent, from PyTorch's sigmoid.

``torch.tanh`` is MKL's on x86-64, and its last bits depend on the processor's vendor. The sigmoid is
PyTorch's own: its bits are the same on all processors with the same vector width.
"""

import torch
from torch import Tensor

MINUS_ONE = torch.tensor(-1.0)


def tanh(x: Tensor) -> Tensor:
    """``2 sigmoid(2 x) - 1``. Its absolute error is a unit in the last place of 1."""
    return 2 * torch.sigmoid(2 * x) - 1


def tanh_(x: Tensor, out: Tensor | None = None) -> Tensor:
    """:func:`tanh`, in place or in ``out``, which may share no memory with ``x``."""
    out = x if out is None else out
    # Operations with tensors take half as long as those with Python's numbers.
    torch.add(x, x, out=out).sigmoid_()
    return torch.add(MINUS_ONE, out, alpha=2, out=out)
