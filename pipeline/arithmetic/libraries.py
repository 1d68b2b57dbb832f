"""The libraries in PyTorch that multiply float32 matrices on CPUs. Their private names stand here only.

Each function takes matrices ``a`` and ``b``, and returns one that multiplies matrices like ``a`` by ``b``.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

FEW_ROWS = 4
"""FBGEMM multiplies row by row. With more rows, other libraries are faster."""

BAG_COLUMNS = 96
"""Columns that FBGEMM multiplies at a time, so that they stay in the processor's cache."""

Multiply = Callable[[Tensor], Tensor]
Library = Callable[[Tensor, Tensor], Multiply]


def pytorch(_: Tensor, b: Tensor) -> Multiply:
    """PyTorch's own choice."""
    return lambda a: torch.mm(a, b)


def pytorch_contiguous(_: Tensor, b: Tensor) -> Multiply:
    """PyTorch's own choice, with ``b`` in the order of memory that is fastest."""
    return pytorch(_, b.contiguous())


def onednn(_: Tensor, b: Tensor) -> Multiply:
    """oneDNN, for two rows and two columns or more."""
    # It would add up a part of a wider matrix in another order.
    weight = (b if b.is_contiguous() or b.t().is_contiguous() else b.contiguous()).t()
    return lambda a: torch.ops.mkldnn._linear_pointwise(a, weight, None, "none", [], "")


def onednn_packed(a: Tensor, b: Tensor) -> Multiply:
    """oneDNN, with ``b`` in its own format, which takes as long as some products."""
    packed = torch.ops.mkldnn._reorder_linear_weight(b.t().contiguous(), len(a))
    return lambda a: torch.ops.mkldnn._linear_pointwise(a, packed, None, "none", [], "")


def onednn_padded(a: Tensor, b: Tensor) -> Multiply:
    """oneDNN, for a single row or a single column, which it would add up in another order: it gets two."""
    rows, columns = len(a), b.shape[1]
    multiply = onednn(a, torch.cat([b, b], 1) if columns == 1 else b)
    return lambda a: multiply(torch.cat([a, a]) if rows == 1 else a)[:rows, :columns]


def fbgemm(a: Tensor, b: Tensor) -> Multiply:
    """FBGEMM's weighted sum of the rows of a table, which ``embedding_bag`` uses.

    The table has blocks of columns of ``b`` one below the other. In each block, each row of ``a`` is a bag of
    weights.
    """
    rows, (terms, columns) = len(a), b.shape
    blocks = -(-columns // BAG_COLUMNS)
    width = -(-columns // blocks)
    padded = functional.pad(b, (0, blocks * width - columns)).view(terms, blocks, width)
    table = padded.transpose(0, 1).reshape(blocks * terms, width)
    indices = torch.arange(blocks * terms, dtype=torch.int32).repeat(rows)
    offsets = torch.arange(rows * blocks, dtype=torch.int32) * terms

    def multiply(a: Tensor) -> Tensor:
        weights = a.unsqueeze(1).expand(rows, blocks, terms).reshape(-1)
        bags = torch._embedding_bag_forward_only(table, indices, offsets, False, 0, False, weights, False, -1)
        return bags[0].view(rows, blocks * width)[:, :columns]

    return multiply
