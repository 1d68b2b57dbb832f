"""The loss against PyTorch's, and against its definition."""

import math

import pytest
import torch
from torch.nn import functional

from pipeline.evaluation.score import perplexity_of
from pipeline.nn import loss
from pipeline.nn.loss import linear_cross_entropy


@pytest.mark.parametrize("chunk", [1, 7 * 13, 1 << 21], ids=["a row at a time", "some rows", "all rows"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_is_cross_entropy_of_a_linear_layer(
    dtype: torch.dtype, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CHUNK_LOGITS", chunk)
    torch.manual_seed(0)
    labels = torch.randint(13, (30,))
    inputs = [torch.randn(shape, dtype=dtype).requires_grad_() for shape in ((30, 5), (13, 5), (13,))]
    ours = linear_cross_entropy(*inputs, labels)
    expected = functional.cross_entropy(functional.linear(*inputs), labels)
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(ours, expected, **tolerance)
    gradients = (torch.autograd.grad(3 * value, inputs) for value in (ours, expected))
    for our, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(our, theirs, **tolerance)


def test_gradients_are_those_of_finite_differences() -> None:
    labels = torch.tensor([0, 2, 2])
    inputs = [torch.randn(s, dtype=torch.float64).requires_grad_() for s in ((3, 2), (4, 2), (4,))]
    assert torch.autograd.gradcheck(lambda *tensors: linear_cross_entropy(*tensors, labels), inputs)


def test_does_not_overflow_where_logits_are_large() -> None:
    x = torch.tensor([[1.0]], requires_grad=True)
    weight = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    value = linear_cross_entropy(x, weight, torch.zeros(2, requires_grad=True), torch.tensor([1]))
    assert value.item() == 2e4
    assert torch.autograd.grad(value, x)[0].item() == 2e4


def test_perplexity_of_a_uniform_guess_is_the_vocabulary() -> None:
    weights = torch.zeros(1027, 4), torch.zeros(1027)
    value = linear_cross_entropy(torch.randn(9, 4), *weights, torch.arange(9))
    assert perplexity_of(value.item()) == pytest.approx(1027, rel=1e-5)
    assert perplexity_of(0.0) == 1
    assert math.isfinite(perplexity_of(1e9))
