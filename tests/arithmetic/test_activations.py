"""The sigmoid and tanh against float64, and the same bits wherever a number stands."""

from collections.abc import Iterator

import pytest
import torch

from pipeline.arithmetic.activations import sigmoid, sigmoid_, tanh, tanh_


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_against_float64() -> None:
    x = torch.linspace(-20, 20, 1_000_001)
    wide = x.double()
    torch.testing.assert_close(sigmoid(x).double(), wide.sigmoid(), rtol=0, atol=1e-7)
    torch.testing.assert_close(tanh(x).double(), wide.tanh(), rtol=0, atol=2e-7)


@pytest.mark.parametrize("shape", [(7,), (33, 40), (50, 700), (3, 5, 17), (100_003,), (64, 1024)])
def test_each_number_has_the_same_bits_wherever_it_stands(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    expected = torch.stack([number.repeat(16).sigmoid()[0] for number in x.flatten()]).view(shape)
    wide = torch.zeros(*shape[:-1], shape[-1] + 5)
    part = wide[..., : shape[-1]]
    for threads in (1, 2, 3, 5):
        torch.set_num_threads(threads)
        transposed = x.t().clone().t() if x.dim() == 2 else x.clone()
        for result in (sigmoid(x), sigmoid_(x.clone()), sigmoid_(transposed)):
            assert torch.equal(result, expected)
        assert torch.equal(sigmoid_(part.copy_(x)), expected)
        assert not wide[..., shape[-1] :].any(), "only the part has changed"
        assert torch.equal(tanh_(x.clone()), tanh(x))


def test_gradients() -> None:
    x = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sigmoid, x)
    assert torch.autograd.gradcheck(tanh, x)
