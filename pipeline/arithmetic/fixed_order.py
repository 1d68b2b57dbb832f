"""The order in which matrix products add up their terms, defined in NumPy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Order:
    """How a product is added up, and perhaps added to something.

    A chain of fused multiply-adds starts from 0 and goes over ``chain`` terms, in order. With
    ``addend_first``, the chains are added to what the product is added to, one after the other. Otherwise the
    sum of all chains is added to it.
    """

    chain: int
    addend_first: bool = False


def fixed_order_sums(a: Floats, b: Floats, order: Order, addend: Floats | None = None) -> Floats:
    """Entries of a product, added to ``addend`` ``(entries,)``.

    They are row i of ``a`` times row i of ``b``, both ``(entries, terms)``.
    """
    entries, terms = a.shape
    chains, length = -(-terms // order.chain), min(terms, order.chain)
    # Zeros at the end of the last chain change no sum.
    padding = ((0, 0), (0, chains * length - terms))
    by_term = (np.pad(x, padding).reshape(entries, chains, length).transpose(2, 0, 1) for x in (a, b))
    sums = np.zeros((entries, chains), np.float32)
    for a_k, b_k in zip(*by_term, strict=True):
        sums = fused_multiply_add(a_k, b_k, sums)
    nothing: Floats = np.zeros(entries, np.float32)
    total = addend if addend is not None and order.addend_first else nothing
    for sum_of_chain in sums.T:
        total = total + sum_of_chain
    return total if addend is None or order.addend_first else addend + total


def fused_multiply_add(a: Floats, b: Floats, c: Floats) -> Floats:
    """``a b + c``, rounded once.

    In float64, the product is exact. The sum is rounded to odd, so that rounding it once more, to float32,
    gives what rounding the exact sum would (Boldo & Melquiond, 2008).
    """
    product, addend = a.astype(np.float64) * b, c.astype(np.float64)
    total = product + addend
    part = total - product
    error = (product - (total - part)) + (addend - part)  # exact (Knuth, 1969)
    odd = np.nextafter(total, np.where(error > 0, np.inf, -np.inf))
    is_even = total.view(np.int64) % 2 == 0
    result: Floats = np.where((error != 0) & is_even, odd, total).astype(np.float32)
    return result
