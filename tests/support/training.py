"""Parameters and models small enough for tests."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.params.runtime import RuntimeParams
from pipeline.params.train import TrainParams
from pipeline.training.loop import Hooks, Trainer
from pipeline.training.ranks import ONE_RANK, Ranks
from pipeline.training.state import Epoch, Evaluation


def train_params(**changes: Any) -> TrainParams:
    settings: dict[str, Any] = {
        "sampling": "consecutive",
        "batch_size": 4,
        "num_steps": 10,
        "epochs": 3,
        "optimizer": "adam",
        "learning_rate": 0.01,
        "weight_decay": 0.0,
        "schedule": "cosine",
        "warmup_steps": 2,
        "clip": 1.0,
        "keep": "last",
        "patience": None,
        "evaluate_every": 6,
        "precision": "highest",
        "implementation": "auto",
        "sample": {"every": 0, "prefixes": [], "length": 5},
    }
    return TrainParams.model_validate(settings | changes)


class Recorder:
    """Hooks that remember what they were told."""

    def __init__(self, valid: list[float] | None = None) -> None:
        self.epochs: list[Epoch] = []
        self.evaluations: list[Evaluation] = []
        self.checkpoints: list[dict[str, Any]] = []
        self.valid = iter(valid) if valid else None

    def hooks(self, step_done: Callable[[int, float | None], None] = lambda *_: None) -> Hooks:
        return Hooks(
            validate=(lambda: next(self.valid)) if self.valid else None,  # type: ignore[arg-type]
            sample=lambda: ("text",),
            save=lambda state: self.checkpoints.append(copy.deepcopy(state)),
            step_done=step_done,
            evaluated=self.evaluations.append,
            epoch_done=self.epochs.append,
        )


def trainer(
    ids: Tensor,
    recorder: Recorder,
    *,
    cell: str = "gru",
    seconds: float = 1e9,
    dropout: float = 0.0,
    ranks: Ranks = ONE_RANK,
    accumulate: int = 1,
    step_done: Callable[[int, float | None], None] = lambda *_: None,
    **changes: Any,
) -> Trainer:
    """A trainer of a new, seeded model."""
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=int(ids.max()) + 1, cell=cell, hidden_size=12, num_layers=2, dropout=dropout
    )
    runtime = RuntimeParams(checkpoint_seconds=max(seconds, 1e-9), accumulate=accumulate)
    return Trainer(CharLM(config), ids, train_params(**changes), runtime, 0, recorder.hooks(step_done), ranks)
