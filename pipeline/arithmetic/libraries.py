"""The libraries in PyTorch that multiply float32 matrices on CPUs. Their private names stand here only.

Each function takes matrices ``a`` and ``b``, and returns one that multiplies matrices like ``a`` by ``b``.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.arithmetic.fixed_order import Order

FEW_ROWS = 4
"""FBGEMM multiplies row by row. With more rows, other libraries are faster."""

BAG_COLUMNS = 96
"""Columns that FBGEMM multiplies at a time, so that they stay in the processor's cache."""


class Multiply(Protocol):
    """Multiplies by a matrix."""

    def __call__(self, a: Tensor, out: Tensor | None = None) -> Tensor:
        """The product. With ``out``, whose rows are contiguous, adds it there."""


Library = Callable[[Tensor, Tensor], Multiply]


def pytorch(_: Tensor, b: Tensor) -> Multiply:
    """PyTorch's own choice."""

    def multiply(a: Tensor, out: Tensor | None = None) -> Tensor:
        return torch.mm(a, b) if out is None else out.addmm_(a, b)

    return multiply


def pytorch_contiguous(a: Tensor, b: Tensor) -> Multiply:
    """PyTorch's own choice, with ``b`` in the order of memory that is fastest."""
    return pytorch(a, b.contiguous())


def onednn(a: Tensor, b: Tensor) -> Multiply:
    """oneDNN, for two rows and two columns or more."""
    if not a.is_contiguous() and a.numel() > b.numel():
        # oneDNN copies its first matrix if it is transposed. Here, the other one is smaller.
        return lambda a, out=None: _into(out, onednn(b.t(), a.t())(b.t()).t())
    # It would add up a part of a wider matrix in another order.
    return _onednn_of_weight((b if b.is_contiguous() or b.t().is_contiguous() else b.contiguous()).t())


def onednn_copied(_: Tensor, b: Tensor) -> Multiply:
    """oneDNN, with ``b`` in the layout of the weights of linear layers."""
    return _onednn_of_weight(b.t().contiguous())


def onednn_packed(a: Tensor, b: Tensor) -> Multiply:
    """oneDNN, with ``b`` in its own format, which takes as long as some products."""
    return _onednn_of_weight(torch.ops.mkldnn._reorder_linear_weight(b.t().contiguous(), len(a)))


def onednn_padded(a: Tensor, b: Tensor) -> Multiply:
    """oneDNN, for a single row or a single column, which it would add up in another order: it gets two."""
    rows, columns = len(a), b.shape[1]
    multiply = onednn(a, torch.cat([b, b], 1) if columns == 1 else b)
    return lambda a, out=None: _into(out, multiply(torch.cat([a, a]) if rows == 1 else a)[:rows, :columns])


def in_chains(library: Library, order: Order) -> Library:
    """A library that multiplies one chain at a time."""
    chain = order.chain

    def prepare(a: Tensor, b: Tensor) -> Multiply:
        parts = [
            library(a_part, b_part) for a_part, b_part in zip(a.split(chain, 1), b.split(chain), strict=True)
        ]

        def multiply(a: Tensor, out: Tensor | None = None) -> Tensor:
            total = out if order.addend_first else None
            for part, a_part in zip(parts, a.split(chain, 1), strict=True):
                total = part(a_part, total)
            assert total is not None
            return total if order.addend_first else _into(out, total)

        return multiply

    return prepare


def fbgemm(a: Tensor, b: Tensor) -> Multiply:
    """FBGEMM's weighted sum of the rows of a table, which ``embedding_bag`` uses.

    The table has blocks of columns of ``b`` one below the other. In each block, each row of ``a`` is a bag of
    weights. ``b`` may have more rows than ``a`` has columns: these are added to each product, in their order.
    """
    rows, (terms, columns) = len(a), b.shape
    blocks = -(-columns // BAG_COLUMNS)
    width = max(-(-columns // blocks), 2)  # a single column would be added up in another order
    padded = functional.pad(b, (0, blocks * width - columns)).view(terms, blocks, width)
    # Of a table in another order of memory, embedding_bag has an order of its own.
    table = padded.transpose(0, 1).reshape(blocks * terms, width).contiguous()
    indices = torch.arange(blocks * terms, dtype=torch.int32).repeat(rows)
    offsets = torch.arange(rows * blocks, dtype=torch.int32) * terms
    weights = torch.ones(rows * blocks * terms)
    weights_of_bags = weights.view(rows, blocks, terms)[..., : a.shape[1]]

    def multiply(a: Tensor, out: Tensor | None = None) -> Tensor:
        weights_of_bags.copy_(a.unsqueeze(1))
        bags = torch._embedding_bag_forward_only(table, indices, offsets, False, 0, False, weights, False, -1)
        return _into(out, bags[0].as_strided((rows, columns), (blocks * width, 1)))

    return multiply


def _onednn_of_weight(weight: Tensor) -> Multiply:
    run = torch.ops.mkldnn._linear_pointwise.default
    return lambda a, out=None: _into(out, run(a, weight, None, "none", [], ""))


def _into(out: Tensor | None, product: Tensor) -> Tensor:
    return product if out is None else out.add_(product)
