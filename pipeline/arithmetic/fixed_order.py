"""The order in which matrix products add up their terms, defined in NumPy."""

import numpy as np
from numpy.typing import NDArray

BLOCK = 1024
"""After so many terms, a new sum starts."""

Floats = NDArray[np.float32]


def fixed_order_sums(a: Floats, b: Floats) -> Floats:
    """Entries of a product: row i of ``a`` times row i of ``b``, both ``(entries, terms)``.

    An entry is a chain of fused multiply-adds over its terms, from 0, in order. Every :data:`BLOCK` terms, a
    new chain starts. The results of the chains are added in order.
    """
    entries, terms = a.shape
    blocks, size = -(-terms // BLOCK), min(terms, BLOCK)
    # Zeros at the end of the last block change no sum.
    padding = ((0, 0), (0, blocks * size - terms))
    by_term = (np.pad(x, padding).reshape(entries, blocks, size).transpose(2, 0, 1) for x in (a, b))
    chains = np.zeros((entries, blocks), np.float32)
    for a_k, b_k in zip(*by_term, strict=True):
        chains = fused_multiply_add(a_k, b_k, chains)
    total: Floats = chains[:, 0]
    for chain in chains.T[1:]:
        total = total + chain
    return total


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
