"""Optimisers, learning-rate schedules and gradient clipping."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from pipeline.params import TrainParams


def make_optimizer(params: TrainParams, weights: Iterable[Tensor]) -> torch.optim.Optimizer:
    """SGD, Adam (Kingma & Ba, 2015) or AdamW (Loshchilov & Hutter, 2019), with PyTorch's other defaults."""
    kinds: dict[str, type[torch.optim.Optimizer]] = {
        "sgd": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    settings = {"lr": params.learning_rate, "weight_decay": params.weight_decay, "fused": True}
    return kinds[params.optimizer](weights, **settings)  # type: ignore[arg-type]


def learning_rate(params: TrainParams, step: int, total_steps: int) -> float:
    """Learning rate of step ``step`` (from 0): a linear warm-up, then constant or half a cosine to 0."""
    if step < params.warmup_steps:
        return params.learning_rate * (step + 1) / params.warmup_steps
    if params.schedule == "constant":
        return params.learning_rate
    done = (step - params.warmup_steps) / max(total_steps - params.warmup_steps, 1)
    return params.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def clip_gradients(weights: list[Tensor], most: float | None) -> Tensor:
    """Scale all gradients so that their global norm is at most ``most`` (Pascanu et al., 2013).

    Returns the norm before that, still on the device.
    """
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if most is not None:
        nn.utils.clip_grads_with_norm_(weights, most, norm)
    return norm
