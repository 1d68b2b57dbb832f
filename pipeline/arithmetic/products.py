"""Float32 matrix products with the same bits on every x86-64 processor that has AVX2 and FMA.

Libraries add up the terms of a product in an order that depends on the processor, and each order rounds in
its own way. So the order is fixed here (:func:`fixed_order_sums`): it is the one that oneDNN has wherever a
product has two rows and two columns or more.

The first time that operands of some shape and layout are multiplied, each library multiplies random numbers
like them. Entries of oneDNN's result are compared with the definition, and MKL's result with oneDNN's, bit by
bit. The fastest library that passes is used from then on.
"""

import logging
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from pipeline.arithmetic.fixed_order import fixed_order_sums

log = logging.getLogger(__name__)

CHECKED_ENTRIES = 64

COMPARED_ENTRIES = 4096
"""With fewer entries, two libraries might agree by chance."""

TIMED_ROUNDS = 5

Multiply = Callable[..., Tensor]
"""Multiplies: ``(a, b)`` gives ``a @ b``; ``(out, a, b)`` adds ``a @ b`` to ``out``, in place."""


class FixedOrder:
    """The libraries chosen so far. ``is_kept`` is false once no library had the fixed order."""

    def __init__(self) -> None:
        self.is_kept = True
        self._chosen: dict[tuple[object, ...], Multiply] = {}

    def choose(self, *operands: Tensor) -> Multiply:
        """The function for operands of this shape and layout."""
        kind = (torch.get_num_threads(), *((operand.shape, operand.stride()) for operand in operands))
        if kind not in self._chosen:
            self._chosen[kind] = self._compare(*map(_random_like, operands))
        return self._chosen[kind]

    def _compare(self, *operands: Tensor) -> Multiply:
        a, b = operands[-2:]
        portable = _by_onednn if len(a) > 1 and b.shape[1] > 1 else _by_padded_onednn
        expected, other = (multiply(*_copied(operands)) for multiply in (portable, _by_pytorch))
        if not _is_fixed_order(expected, *operands):
            leave_order("this processor adds up products in an order of its own")
            return _by_pytorch
        if expected.numel() < COMPARED_ENTRIES or not torch.equal(expected, other):
            return portable
        return min(portable, _by_pytorch, key=lambda multiply: _seconds(multiply, operands))


_fixed_order: FixedOrder | None = None


def fix_order(on: bool) -> None:
    """Have all float32 products on the CPU, from now on, in the fixed order (``on``), or in PyTorch's."""
    global _fixed_order
    _fixed_order = FixedOrder() if on else None


def order_is_fixed() -> bool:
    """Whether all float32 products on the CPU were in the fixed order since :func:`fix_order`."""
    return _fixed_order is not None and _fixed_order.is_kept


def leave_order(reason: str) -> None:
    """Say, once, that a computation has an order of its own, and why."""
    if _fixed_order is not None and _fixed_order.is_kept:
        log.warning("results are not portable: %s", reason)
        _fixed_order.is_kept = False


def multiplier(*operands: Tensor) -> Multiply:
    """The function that multiplies such operands, for a loop over operands of the same shape and layout."""
    a, b = operands[-2:]
    is_float32_on_cpu = a.dtype == torch.float32 and a.device.type == "cpu"
    if _fixed_order is None or not is_float32_on_cpu or not (a.numel() and b.numel()):
        return _by_pytorch
    return _fixed_order.choose(*operands)


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b``, of two matrices."""
    return multiplier(a, b)(a, b)


def add_product(out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Add ``a @ b`` to ``out``, in place."""
    return multiplier(out, a, b)(out, a, b)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return add_product(bias.repeat(len(x), 1), x, weight.t())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        return product(grad, weight), product(grad.t(), x), grad.sum(0)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x W^T + b``, as :func:`torch.nn.functional.linear` has it; differentiable once."""
    if _fixed_order is None:
        return functional.linear(x, weight, bias)
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    rows: Tensor = _Linear.apply(x.flatten(0, -2), weight, bias)
    return rows.view(*x.shape[:-1], len(weight))


def _by_pytorch(*operands: Tensor) -> Tensor:
    if len(operands) == 2:
        return torch.mm(*operands)
    out, a, b = operands
    return out.addmm_(a, b)


def _by_onednn(*operands: Tensor) -> Tensor:
    # PyTorch's compiler uses these operations. They have no public names.
    *out, a, b = operands
    if not (b.is_contiguous() or b.t().is_contiguous()):
        b = b.contiguous()  # a part of a wider matrix would be added up in another order
    if not out:
        result: Tensor = torch.ops.mkldnn._linear_pointwise(a, b.t(), None, "none", [], "")
        return result
    return out[0].copy_(torch.ops.mkldnn._linear_pointwise.binary(a, out[0], b.t(), None, "add"))


def _by_padded_onednn(*operands: Tensor) -> Tensor:
    # oneDNN adds up a single row, and a single column, in another order.
    *out, a, b = operands
    rows, columns = len(a), b.shape[1]
    a, b = (torch.cat([a, a]) if rows == 1 else a), (torch.cat([b, b], 1) if columns == 1 else b)
    if not out:
        return _by_onednn(a, b)[:rows, :columns]
    padded = out[0].repeat(len(a) // rows, b.shape[1] // columns)
    return out[0].copy_(_by_onednn(padded, a, b)[:rows, :columns])


def _copied(operands: Sequence[Tensor]) -> list[Tensor]:
    """The operands, with a copy of the one that is changed."""
    *out, a, b = operands
    return [*(tensor.clone() for tensor in out), a, b]


def _random_like(operand: Tensor) -> Tensor:
    """Random numbers in the same layout. The state of PyTorch's own generator does not change."""
    last = sum((size - 1) * stride for size, stride in zip(operand.shape, operand.stride(), strict=True))
    memory = torch.randn(last + 1, generator=torch.Generator().manual_seed(0))
    return memory.as_strided(operand.shape, operand.stride())


def _is_fixed_order(result: Tensor, *operands: Tensor) -> bool:
    """Whether entries of a product of ``operands``, in the corners and elsewhere, have the right bits."""
    *out, a, b = operands
    last_row, last_column = len(a) - 1, b.shape[1] - 1
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(last_row + 1, (CHECKED_ENTRIES,), generator=generator)
    columns = torch.randint(last_column + 1, (CHECKED_ENTRIES,), generator=generator)
    rows[:4], columns[:4] = torch.tensor([0, 0, last_row, last_row]), torch.tensor([0, last_column] * 2)
    sums = torch.from_numpy(fixed_order_sums(a[rows].numpy(), b[:, columns].t().numpy()))
    return torch.equal(result[rows, columns], sums + out[0][rows, columns] if out else sums)


def _seconds(multiply: Multiply, operands: Sequence[Tensor]) -> float:
    """The best time of some rounds."""
    operands = _copied(operands)
    times = [time.perf_counter()]
    for _ in range(TIMED_ROUNDS):
        multiply(*operands)
        times.append(time.perf_counter())
    return min(end - start for start, end in pairwise(times))
