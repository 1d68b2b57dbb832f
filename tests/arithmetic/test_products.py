"""Products in the fixed order, entry by entry, against its definition."""

import itertools
import platform
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from pipeline.arithmetic import libraries
from pipeline.arithmetic.fixed_order import Order, fixed_order_sums
from pipeline.arithmetic.libraries import FEW_ROWS, Library, Multiply
from pipeline.arithmetic.products import (
    LONG_CHAIN,
    SHORT_CHAIN,
    STEP_CHAIN,
    FixedOrder,
    fix_order,
    leave_order,
    linear,
    multiplier,
    multiplier_with_bias,
    order_is_fixed,
    product,
)

ON_X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="the order is fixed on x86-64")

SHAPES = [
    *((2, 3, 2), (1, 5, 1), (1, 300, 70), (3, 300, 200), (1, 2000, 97), (70, 300, 1)),
    *((32, 256, 256), (8, 200, 70), (16, 128, 96), (5, 1100, 60), (7, 3000, 13), (17, 1024, 33)),
    *((40, 513, 30), (2, 560, 128), (70, 560, 40), (3, 1025, 9)),
]
"""Rows, terms, columns."""

SHORT = Order(SHORT_CHAIN)


@pytest.fixture
def _fixed() -> Iterator[None]:
    fix_order(True)
    yield
    fix_order(False)


def layouts(rows: int, columns: int) -> list[Tensor]:
    """A matrix, also transposed in memory and as a part of a wider one."""
    matrix = torch.randn(rows, columns)
    wide = torch.zeros(rows, columns + 5)
    wide[:, 2 : columns + 2] = matrix
    return [matrix, matrix.t().contiguous().t(), wide[:, 2 : columns + 2]]


def defined(a: Tensor, b: Tensor, order: Order = SHORT, addend: Tensor | None = None) -> Tensor:
    rows, columns = (
        index.flatten()
        for index in torch.meshgrid(torch.arange(len(a)), torch.arange(b.shape[1]), indexing="ij")
    )
    start = None if addend is None else addend[rows, columns].numpy()
    sums = fixed_order_sums(a[rows].numpy(), b.t()[columns].numpy(), order, start)
    return torch.from_numpy(sums).view(len(a), b.shape[1])


@ON_X86
@pytest.mark.parametrize("columns", [1, 2, 200])
def test_fbgemm_has_the_bits_of_the_definition_whatever_the_layouts(columns: int) -> None:
    torch.manual_seed(0)
    for _ in range(20):
        for a in layouts(2, 3):
            for b in layouts(3, columns):
                assert torch.equal(libraries.fbgemm(a, b)(a), defined(a, b))


@pytest.mark.usefixtures("_fixed")
@pytest.mark.parametrize("library", [libraries.fbgemm, libraries.onednn_padded])
def test_a_bias_is_added_to_the_product_whatever_the_library(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    a, b, bias = torch.randn(1, 37), torch.randn(37, 200), torch.randn(200)
    monkeypatch.setattr(FixedOrder, "choose", lambda *_: library)
    assert torch.equal(multiplier_with_bias(a, b, bias)(a), defined(a, b) + bias)


@ON_X86
@pytest.mark.usefixtures("_fixed")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_entry_has_the_bits_of_the_definition(shape: tuple[int, int, int]) -> None:
    rows, terms, columns = shape
    order = Order(LONG_CHAIN if terms > LONG_CHAIN else SHORT_CHAIN)
    is_step = rows > FEW_ROWS and terms <= 2 * STEP_CHAIN
    order_of_step = Order(STEP_CHAIN, addend_first=True) if is_step else order
    torch.manual_seed(1)
    in_a, in_b, in_out = layouts(rows, terms), layouts(terms, columns), layouts(rows, columns)
    a, b, addend = in_a[0], in_b[0], in_out[0].clone()
    expected, of_step = defined(a, b, order), defined(a, b, order_of_step)
    added = defined(a, b, order_of_step, addend)
    for threads, a, b in itertools.product((1, 2, 3), in_a, in_b):
        torch.set_num_threads(threads)
        assert torch.equal(product(a, b), expected)
        multiply = multiplier(a, b)
        assert torch.equal(multiply(a), of_step)
        for out in in_out[::2]:  # rows are contiguous
            assert torch.equal(multiply(a, out.copy_(addend)), added)
            assert torch.equal(out, added)
    assert order_is_fixed()


@ON_X86
@pytest.mark.usefixtures("_fixed")
def test_linear_and_its_gradients() -> None:
    inputs = [torch.randn(shape, requires_grad=True) for shape in ((3, 4, 5), (6, 5), (6,))]
    theirs = torch.nn.functional.linear(*inputs)
    ours = linear(*inputs)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(theirs)
    gradients = [torch.autograd.grad((result * weights).sum(), inputs) for result in (ours, theirs)]
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)
    bare = linear(*inputs[:2])
    torch.testing.assert_close(torch.autograd.grad(bare.sum(), inputs[0])[0].shape, inputs[0].shape)


@ON_X86
@pytest.mark.usefixtures("_fixed")
def test_a_library_with_another_order_is_not_used_where_another_has_the_right_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def with_other_bits(a: Tensor, b: Tensor) -> Multiply:
        multiply = libraries.onednn(a, b)
        return lambda a, out=None: torch.nextafter(multiply(a, out), torch.tensor(torch.inf))

    for name in ("pytorch", "pytorch_contiguous", "fbgemm"):
        monkeypatch.setattr(libraries, name, with_other_bits)
    a, b = torch.randn(4, 40), torch.randn(40, 80)
    assert torch.equal(product(a, b), defined(a, b))
    assert torch.equal(multiplier(a, b)(a), defined(a, b))
    assert order_is_fixed()


@ON_X86
@pytest.mark.usefixtures("_fixed")
@pytest.mark.parametrize(
    "wrong",
    [
        ("onednn_packed",),
        ("onednn_packed", "onednn_padded"),
        ("onednn_packed", "onednn_padded", "onednn_copied", "pytorch_contiguous"),
    ],
)
@pytest.mark.parametrize("terms", [400, 1100])
def test_slower_libraries_step_in_on_processors_that_we_do_not_know(
    monkeypatch: pytest.MonkeyPatch, wrong: tuple[str, ...], terms: int
) -> None:
    def with_other_bits(a: Tensor, b: Tensor) -> Multiply:
        multiply = libraries.onednn(a, b)
        return lambda a, out=None: multiply(a, out) + 1

    for name in wrong:
        monkeypatch.setattr(libraries, name, with_other_bits)
    a, b = torch.randn(8, terms), torch.randn(terms, 80)
    order = Order(LONG_CHAIN if terms > LONG_CHAIN else SHORT_CHAIN)
    assert torch.equal(multiplier(a, b)(a), defined(a, b, order))
    assert order_is_fixed()


@ON_X86
@pytest.mark.usefixtures("_fixed")
@pytest.mark.parametrize("terms", [700, 1100])
def test_chains_are_multiplied_one_by_one_where_a_library_goes_on(
    monkeypatch: pytest.MonkeyPatch, terms: int
) -> None:
    order = Order(LONG_CHAIN if terms > LONG_CHAIN else SHORT_CHAIN)

    def in_one_chain(a: Tensor, b: Tensor) -> Multiply:
        multiply = libraries.onednn(a, b)
        return lambda a, out=None: multiply(a, out) + (a.shape[1] > order.chain)

    for name in ("onednn_packed", "onednn_copied"):
        monkeypatch.setattr(libraries, name, in_one_chain)
    a, b = torch.randn(8, terms), torch.randn(terms, 80)
    assert torch.equal(multiplier(a, b)(a), defined(a, b, order))
    assert order_is_fixed()


@pytest.mark.usefixtures("_fixed")
def test_a_processor_with_an_order_of_its_own_is_found_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def by_float64(_: Tensor, b: Tensor) -> Multiply:
        return lambda a, _=None: (a.double() @ b.double()).float()

    for name in ("onednn", "onednn_copied", "fbgemm", "pytorch_contiguous"):
        monkeypatch.setattr(libraries, name, by_float64)
    product(torch.randn(70, 400), torch.randn(400, 80))
    product(torch.randn(71, 400), torch.randn(400, 80))
    assert not order_is_fixed()
    assert caplog.messages == [
        "results are not portable: this processor adds up products in an order of its own"
    ]


def test_other_types_are_left_to_pytorch() -> None:
    fix_order(True)
    a, b = torch.randn(3, 4, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    assert torch.equal(product(a, b), a @ b)
    assert order_is_fixed()
    leave_order("a reason")
    assert not order_is_fixed()
    fix_order(False)
    assert not order_is_fixed()
