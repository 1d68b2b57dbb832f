import math

import pytest
import torch
from torch import nn

from pipeline.training.optim import clip_gradients, learning_rate, make_optimizer
from tests.training.common import train_params


def test_warm_up_then_cosine() -> None:
    params = train_params(learning_rate=0.4, schedule="cosine", warmup_steps=4)
    rates = [learning_rate(params, step, 12) for step in range(12)]
    assert rates[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])
    assert rates[8] == pytest.approx(0.2)
    assert rates[11] == pytest.approx(0.4 * 0.5 * (1 + math.cos(math.pi * 7 / 8)))


def test_constant() -> None:
    params = train_params(learning_rate=0.4, schedule="constant", warmup_steps=0)
    assert {learning_rate(params, step, 10) for step in range(10)} == {0.4}


@pytest.mark.parametrize(
    ("name", "weight_decay", "expected"),
    [
        # One step from weight 1 with gradient 2 and learning rate 0.1, by hand.
        ("sgd", 0.0, 1 - 0.1 * 2),
        ("sgd", 0.5, 1 - 0.1 * (2 + 0.5)),
        ("adam", 0.0, 1 - 0.1),
        ("adamw", 0.5, 1 - 0.1 * 0.5 - 0.1),
    ],
)
def test_one_step_by_hand(name: str, weight_decay: float, expected: float) -> None:
    weight = nn.Parameter(torch.ones(1))
    weight.grad = torch.tensor([2.0])
    make_optimizer(
        train_params(optimizer=name, learning_rate=0.1, weight_decay=weight_decay), [weight]
    ).step()
    assert weight.item() == pytest.approx(expected, abs=1e-6)


def test_clipping_scales_the_global_norm() -> None:
    weights = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(2))]
    weights[0].grad, weights[1].grad = torch.tensor([3.0]), torch.tensor([0.0, 4.0])
    assert clip_gradients(weights, None).item() == pytest.approx(5)
    assert weights[0].grad.item() == 3
    assert clip_gradients(weights, 1.0).item() == pytest.approx(5)
    assert weights[0].grad.item() == pytest.approx(0.6, abs=1e-5)
    assert weights[1].grad.tolist() == pytest.approx([0, 0.8], abs=1e-5)
    assert clip_gradients(weights, 10.0).item() == pytest.approx(1, abs=1e-5)
    assert weights[0].grad.item() == pytest.approx(0.6, abs=1e-5)
