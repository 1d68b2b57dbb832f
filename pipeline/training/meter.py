"""The totals of an epoch. Losses are read from the device only now and then."""

import math
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import RefrainError

FLUSH_STEPS = 50
"""Steps between readings of the losses. Each reading waits for the device."""


class EpochTotals:
    """The numbers of steps and characters of an epoch, and their total loss in nats.

    The losses of the latest steps stay on the ``device`` until :meth:`flush_losses` reads and adds them.
    ``clip`` is only for messages.
    """

    def __init__(self, steps_per_epoch: int, clip: float | None, device: torch.device) -> None:
        self._steps_per_epoch, self._clip = steps_per_epoch, clip
        self._losses = torch.zeros(FLUSH_STEPS, device=device)
        self._characters = torch.zeros(FLUSH_STEPS, device=device)
        self._norms = torch.zeros(FLUSH_STEPS + 1, device=device)  # entry 0 is from the step before these
        self.start_epoch(1)

    def start_epoch(self, epoch: int) -> None:
        """Start counting epoch ``epoch`` (from 1)."""
        self.epoch = epoch
        self.steps, self.characters, self.nats = 0, 0, 0.0
        self._pending = self._reported = 0

    @property
    def steps_done(self) -> int:
        """Steps since the start of the epoch, including those whose losses have not been read yet."""
        return self.steps + self._pending

    def add(self, loss: Tensor, characters: Tensor | int, gradient_norm: Tensor) -> None:
        """Add a step: its mean loss, its number of characters, and its gradient norm before clipping."""
        self._losses[self._pending], self._characters[self._pending] = loss, characters
        self._norms[self._pending + 1] = gradient_norm
        self._pending += 1

    def flush_losses(self) -> None:
        """Read and add the latest losses. Raise :class:`RefrainError` if one is not finite."""
        losses, sizes = self._losses[: self._pending].tolist(), self._characters[: self._pending].tolist()
        for index, (loss, size) in enumerate(zip(losses, sizes, strict=True)):
            if not math.isfinite(loss):
                raise RefrainError(self._diverged(index, loss))
            # Added one by one, so that the rounding does not depend on how often losses are read.
            self.nats += loss * int(size)
            self.characters += int(size)
        self._norms[0] = self._norms[self._pending]
        self.steps += self._pending
        self._pending = 0

    def mean_loss(self) -> float:
        """Nats per character over the epoch so far, without losses that have not been read yet."""
        return self.nats / self.characters

    def unreported_characters(self) -> int:
        """Characters whose losses have been read since the last call in this epoch."""
        characters, self._reported = self.characters - self._reported, self.characters
        return characters

    def state_dict(self) -> dict[str, Any]:
        """The totals of the losses that have been read."""
        return {"epoch": self.epoch, "steps": self.steps, "characters": self.characters, "nats": self.nats}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.start_epoch(state["epoch"])
        self.steps, self.characters, self.nats = state["steps"], state["characters"], state["nats"]
        self._reported = self.characters

    def _diverged(self, index: int, loss: float) -> str:
        step = (self.epoch - 1) * self._steps_per_epoch + self.steps + index + 1
        before = f", {self._norms[index]:.3g} the step before" if self._norms[index] else ""
        return (
            f"loss is {loss} at step {step} (epoch {self.epoch}), with gradient norm "
            f"{self._norms[index + 1]:.3g}{before}: lower train.learning_rate "
            + ("or set train.clip" if self._clip is None else "or train.clip")
        )
