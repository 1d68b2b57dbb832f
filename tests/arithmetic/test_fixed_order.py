"""The definition of a product, against exact arithmetic."""

from fractions import Fraction

import numpy as np

from pipeline.arithmetic.fixed_order import Order, fixed_order_sums, fused_multiply_add

ONE = np.float32(1)
TINY = np.float32(2**-24)


def rounded(exact: Fraction) -> np.float32:
    """The float32 next to an exact number; of two, the even one."""
    near = np.float32(float(exact))
    neighbours = [np.nextafter(near, np.float32(side)) for side in (-np.inf, np.inf)]
    return min(
        [near, *neighbours], key=lambda value: (abs(Fraction(float(value)) - exact), value.view(np.int32) % 2)
    )


def test_a_fused_multiply_add_rounds_once() -> None:
    random = np.random.default_rng(0)
    a, b, c = (random.standard_normal(2000).astype(np.float32) for _ in range(3))
    c *= np.float32(10.0) ** random.integers(-6, 7, len(c)).astype(np.float32)
    # Sums that lie just beside the middle of two float32, where rounding to float64 first goes wrong.
    a[:2], b[:2], c[:2] = ONE + TINY * 2, [TINY, -TINY], ONE
    exact = [
        Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)) for x, y, z in zip(a, b, c, strict=True)
    ]
    assert fused_multiply_add(a, b, c).tolist() == [float(rounded(value)) for value in exact]


def test_terms_are_added_in_order_and_each_chain_on_its_own() -> None:
    # Alone, a tiny term is lost beside 1; two of them are not.
    row = np.array([[1, TINY, TINY], [TINY, TINY, 1]], np.float32)
    assert fixed_order_sums(row, np.ones_like(row), Order(3)).tolist() == [1, 1 + 2**-23]
    assert fixed_order_sums(row, np.ones_like(row), Order(1)).tolist() == [1, 1 + 2**-23]
    two_chains = np.array([[1, 0, TINY, TINY]], np.float32)
    assert fixed_order_sums(two_chains, np.ones_like(two_chains), Order(2)).tolist() == [1 + 2**-23]


def test_chains_are_added_to_an_addend_one_by_one_or_together() -> None:
    tiny, one = np.array([[TINY, TINY]], np.float32), np.ones(1, np.float32)
    by_order = {
        order: fixed_order_sums(tiny, np.ones_like(tiny), order, one).tolist()
        for order in (Order(1, addend_first=True), Order(1), Order(2, addend_first=True), Order(2))
    }
    assert list(by_order.values()) == [[1], [1 + 2**-23], [1 + 2**-23], [1 + 2**-23]]
