"""Optimisers, learning-rate schedules and gradient clipping."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw

from pipeline.params.train import TrainParams


class Optimizer:
    """SGD, Adam (Kingma & Ba, 2015) or AdamW (Loshchilov & Hutter, 2019), otherwise with PyTorch's defaults.

    PyTorch's fused functions do Adam's arithmetic. PyTorch's optimiser classes are not used: they load its
    compiler, which takes a second and 75 MB.
    """

    def __init__(self, params: TrainParams, parameters: Iterable[nn.Parameter]) -> None:
        self._name, self._weight_decay, self._clip = params.optimizer, params.weight_decay, params.clip
        self._parameters = list(parameters)
        self._weights = [_memory_order(parameter.detach()) for parameter in self._parameters]
        adaptive = [] if self._name == "sgd" else self._weights
        self._means = [torch.zeros_like(weight) for weight in adaptive]
        self._squares = [torch.zeros_like(weight) for weight in adaptive]
        self._steps = [weight.new_zeros((), dtype=torch.float32) for weight in adaptive]

    @torch.no_grad()
    def step(self, learning_rate: float) -> Tensor:
        """Update the weights by their gradients. Every weight must have one.

        Gradients are scaled so that their global norm is at most ``clip`` (Pascanu et al., 2013). Returns the
        norm before scaling, still on the device.
        """
        gradients = memory_order_gradients(self._parameters)
        norm = nn.utils.get_total_norm(gradients)
        scale = None if self._clip is None else (norm / self._clip).clamp(min=1)
        if self._name == "sgd":
            self._descend(gradients, scale, learning_rate)
        else:
            self._adapt(gradients, scale, learning_rate)
        return norm

    def _descend(self, gradients: Sequence[Tensor], scale: Tensor | None, learning_rate: float) -> None:
        # PyTorch's fused SGD is no faster, and crashes on emulated processors.
        for weight, gradient in zip(self._weights, gradients, strict=True):
            if scale is not None:
                gradient.div_(scale)
            if self._weight_decay:
                gradient.add_(weight, alpha=self._weight_decay)
            weight.sub_(gradient.mul_(learning_rate))

    def _adapt(self, gradients: list[Tensor], scale: Tensor | None, learning_rate: float) -> None:
        unused: list[Tensor] = []
        run = adam if self._name == "adam" else adamw
        run(
            self._weights,
            gradients,
            self._means,
            self._squares,
            unused,
            self._steps,
            fused=True,
            grad_scale=scale,
            lr=learning_rate,
            weight_decay=self._weight_decay,
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that changes from step to step, by name."""
        kinds = {"mean": self._means, "square": self._squares, "step": self._steps}
        return {f"{index}.{name}": t for name, kind in kinds.items() for index, t in enumerate(kind)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what :meth:`state_dict` returned."""
        for name, tensor in self.state_dict().items():
            tensor.copy_(state[name])


def memory_order_gradients(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """The gradients of all parameters, each contiguous in memory. Every parameter must have one.

    Gradients of transposed input weights are transposed back, so that nothing is copied.
    """
    return [_memory_order(_gradient(parameter)) for parameter in parameters]


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        raise ValueError("a weight has no gradient")
    return parameter.grad


def _memory_order(matrix: Tensor) -> Tensor:
    return matrix if matrix.is_contiguous() else matrix.t()


def learning_rate_at(params: TrainParams, step: int, total_steps: int) -> float:
    """The learning rate of step ``step`` (from 0): a linear warm-up, then constant or a half cosine to 0."""
    if step < params.warmup_steps:
        return params.learning_rate * (step + 1) / params.warmup_steps
    if params.schedule == "constant":
        return params.learning_rate
    done = (step - params.warmup_steps) / max(total_steps - params.warmup_steps, 1)
    # Rounded, because C libraries differ in a cosine's last digit.
    return float(f"{params.learning_rate * 0.5 * (1 + math.cos(math.pi * done)):.12g}")
