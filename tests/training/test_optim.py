import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from pipeline.training.optim import Optimizer, learning_rate_at
from tests.support.training import train_params


def test_warm_up_then_cosine() -> None:
    params = train_params(learning_rate=0.4, schedule="cosine", warmup_steps=4)
    rates = [learning_rate_at(params, step, 12) for step in range(12)]
    assert rates[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])
    assert rates[8] == pytest.approx(0.2)
    assert rates[11] == pytest.approx(0.4 * 0.5 * (1 + math.cos(math.pi * 7 / 8)))


def test_constant() -> None:
    params = train_params(learning_rate=0.4, schedule="constant", warmup_steps=0)
    assert {learning_rate_at(params, step, 10) for step in range(10)} == {0.4}


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
    params = train_params(optimizer=name, weight_decay=weight_decay, clip=None)
    assert Optimizer(params, [weight]).step(0.1).item() == 2
    assert weight.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("clip", [None, 0.5, 100.0])
def test_steps_are_those_of_torch_optim(optimizer: str, clip: float | None) -> None:
    """Also for a weight that lies in memory the other way round, and after a restart in the middle."""
    torch.manual_seed(0)
    ours = [
        nn.Parameter(torch.randn(3, 5)),
        nn.Parameter(torch.randn(4, 2).t()),
        nn.Parameter(torch.randn(3)),
    ]
    theirs = [nn.Parameter(weight.detach().clone()) for weight in ours]
    params = train_params(optimizer=optimizer, weight_decay=0.1, clip=clip)
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    reference = kinds[optimizer](theirs, lr=0.0, weight_decay=0.1)
    own = Optimizer(params, ours)
    for step in range(4):
        for weight, other in zip(ours, theirs, strict=True):
            other.grad = torch.randn(weight.shape)
            weight.grad = torch.empty_like(weight).copy_(other.grad)
        norm = own.step(0.01 * (step + 1))
        expected = nn.utils.clip_grad_norm_(theirs, math.inf if clip is None else clip)
        torch.testing.assert_close(norm, expected)
        reference.param_groups[0]["lr"] = 0.01 * (step + 1)
        reference.step()
        fresh = Optimizer(params, ours)
        fresh.load_state_dict({name: tensor.clone() for name, tensor in own.state_dict().items()})
        own = fresh
    for weight, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-5, atol=1e-6)


def test_clipping_scales_the_global_norm() -> None:
    weights = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(2))]
    weights[0].grad, weights[1].grad = torch.tensor([3.0]), torch.tensor([0.0, 4.0])
    optimizer = Optimizer(train_params(optimizer="sgd", clip=1.0), weights)
    assert optimizer.step(1.0).item() == pytest.approx(5)
    assert weights[0].item() == pytest.approx(-0.6)
    assert weights[1].tolist() == pytest.approx([0, -0.8])


LISTS_OF_ADAM = ["params", "grads", "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs", "state_steps"]
COMMON = {"fused", "grad_scale", "lr", "weight_decay", "maximize"}
OF_ADAM = {"amsgrad": False, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


@pytest.mark.parametrize(
    ("function", "lists", "settings", "expected"),
    [
        (adam, LISTS_OF_ADAM, OF_ADAM, 1 - 0.1 * 0.5 / (0.5 + 1e-8)),
        (adamw, LISTS_OF_ADAM, OF_ADAM, 1 - 0.1 * 0.5 / (0.5 + 1e-8)),
        (
            sgd,
            ["params", "d_p_list", "momentum_buffer_list"],
            {"momentum": 0.0, "dampening": 0.0, "nesterov": False},
            1 - 0.1 * 0.5,
        ),
    ],
)
def test_pytorchs_functions_are_as_we_call_them(
    function: Callable[..., None], lists: list[str], settings: dict[str, Any], expected: float
) -> None:
    """PyTorch promises little about them. This is the one place that says what the optimiser relies on.

    One fused step by hand, from weight 1 with gradient 2, divided by grad_scale 4, and learning rate 0.1.
    """
    parameters = inspect.signature(function).parameters
    required = {
        name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty
    }
    assert list(parameters)[: len(lists)] == lists
    assert required <= {*lists, *COMMON, *settings}, "nothing else has to be given"
    assert COMMON | settings.keys() <= parameters.keys()

    state: list[list[Tensor | None]] = [[None]]
    if function is not sgd:
        state = [[torch.zeros(1)], [torch.zeros(1)], [], [torch.zeros(())]]
    weight, gradient, scale = torch.ones(1), torch.tensor([2.0]), torch.tensor(4.0)
    common = {"fused": True, "grad_scale": scale, "lr": 0.1, "weight_decay": 0.0, "maximize": False}
    function([weight], [gradient], *state, **common, **settings)
    assert weight.item() == pytest.approx(expected, abs=1e-6)
    if function is not sgd:
        (mean,), (square,), _, (steps,) = state
        assert mean is not None
        assert square is not None
        assert steps is not None
        assert mean.item() == pytest.approx(0.1 * 0.5)
        assert square.item() == pytest.approx(0.001 * 0.25)
        assert steps.item() == 1
