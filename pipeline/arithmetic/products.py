"""Float32 matrix products with the same bits on every x86-64 processor that has AVX2 and FMA.

Libraries add up the terms of a product in an order that depends on the processor, and each order rounds in
its own way. So the order is fixed here (:func:`fixed_order_sums`), in chains of terms (:func:`_order`) that
oneDNN has on most processors, or has if it multiplies the terms of one chain at a time. The products of time
steps with up to 256 terms are in chains of 128, which MKL has on all processors.

The first time that matrices of some shape and layout are multiplied, each library multiplies random numbers
like them. Its result must have the order's bits: sampled entries of oneDNN's are compared with the
definition, and the others' whole results with oneDNN's. The fastest one that passes is used from then on.
"""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from pipeline.arithmetic import libraries
from pipeline.arithmetic.fixed_order import Order
from pipeline.arithmetic.libraries import Library, Multiply
from pipeline.arithmetic.trials import Trial, fastest, random_trials

log = logging.getLogger(__name__)

LONG_CHAIN, SHORT_CHAIN = 1024, 512
"""Terms of a chain in a product with more terms than ``LONG_CHAIN``, and in other products.

With AVX-512, oneDNN has chains of both lengths, and with AVX2 chains of 1,024 terms.
"""

STEP_CHAIN = 128
"""Terms of a chain in products of a time step with up to two chains: oneDNN takes 40 us to start, MKL 3.

MKL adds the chains to what the product is added to, one by one.
"""


class FixedOrder:
    """The libraries chosen so far. ``is_kept`` is false once no library had the fixed order."""

    def __init__(self) -> None:
        self.is_kept = True
        self._chosen: dict[tuple[object, ...], Library] = {}

    def choose(self, a: Tensor, b: Tensor, often: bool) -> Library:
        """The library for matrices of these shapes and layouts.

        With ``often``, ``b`` is multiplied so often that the time to prepare it does not count.
        """
        kind = (often, torch.get_num_threads(), a.shape, a.stride(), b.shape, b.stride())
        if kind not in self._chosen:
            self._chosen[kind] = self._compare(a, b, often)
        return self._chosen[kind]

    def _compare(self, a: Tensor, b: Tensor, often: bool) -> Library:
        order = _order(a, often)
        trials = random_trials(a, b, with_addend=often)
        theirs = _pytorch(often)
        for candidates in _portable(a, b, often, order):
            results = {library: [trial.result(library) for trial in trials] for library in candidates}
            passed = [
                library
                for library in candidates
                if all(map(Trial.has_fixed_order, trials, results[library], repeat(order)))
            ]
            if passed:
                results[theirs] = [trial.result(theirs) for trial in trials]
                expected = results[passed[0]]
                passed.append(theirs)
                alike = [library for library in passed if all(map(torch.equal, results[library], expected))]
                return fastest(alike, trials[0], often)
        leave_order("this processor adds up products in an order of its own")
        return theirs


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


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b``, of two matrices."""
    return _library(a, b, often=False)(a, b)(a)


def multiplier(a: Tensor, b: Tensor) -> Multiply:
    """A function that multiplies by ``b``, often: matrices of the shape and the layout of ``a``."""
    return _library(a, b, often=True)(a, b)


def multiplier_with_bias(a: Tensor, b: Tensor, bias: Tensor) -> Callable[[Tensor], Tensor]:
    """A :func:`multiplier` that adds ``bias`` to each row of the product."""
    library = _library(a, b, often=True)
    if library is libraries.fbgemm:
        return library(a, torch.cat([b, bias.unsqueeze(0)]))
    multiply = library(a, b)
    return lambda a: multiply(a).add_(bias)


def _library(a: Tensor, b: Tensor, often: bool) -> Library:
    is_float32_on_cpu = a.dtype == torch.float32 and a.device.type == "cpu"
    if _fixed_order is None or not is_float32_on_cpu or not (a.numel() and b.numel()):
        return _pytorch(often)
    return _fixed_order.choose(a, b, often)


def _pytorch(often: bool) -> Library:
    return libraries.pytorch_contiguous if often else libraries.pytorch


def _order(a: Tensor, often: bool) -> Order:
    """The order of products of matrices like ``a``."""
    is_step = often and len(a) > libraries.FEW_ROWS and a.shape[1] <= 2 * STEP_CHAIN
    if is_step:
        return Order(STEP_CHAIN, addend_first=True)
    return Order(LONG_CHAIN if a.shape[1] > LONG_CHAIN else SHORT_CHAIN)


def _portable(a: Tensor, b: Tensor, often: bool, order: Order) -> Iterator[list[Library]]:
    """Libraries that have the fixed order on the processors that we know, then slower ones, for others."""
    found: list[Library] = []
    if len(a) == 1 or b.shape[1] == 1:
        found.append(libraries.onednn_padded)
    else:
        found.append(libraries.onednn_packed if often else libraries.onednn)
    if often and len(a) <= libraries.FEW_ROWS:
        found.append(libraries.fbgemm)
    in_chains = partial(libraries.in_chains, order=order)
    has_chains = order.chain < a.shape[1]
    if not (order.addend_first and has_chains):
        yield found
    if has_chains:
        yield [in_chains(library) for library in (*found, libraries.pytorch_contiguous)]
    others: list[Library] = [libraries.onednn_padded, libraries.onednn_copied]
    yield others
    yield [in_chains(library) for library in (*others, libraries.fbgemm, libraries.pytorch_contiguous)]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight.t()).add_(bias)

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
