"""Characters per second of a GRU's training, over its first steps."""

import time
from contextlib import suppress

import torch

from benchmarks.setups import HIDDEN, STEPS, like_the_textbook
from pipeline.data.text import Text
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.params.runtime import RuntimeParams
from pipeline.training.loop import Hooks, Trainer
from pipeline.training.ranks import ONE_RANK, Ranks

MEASURED_STEPS = 200


class EnoughStepsError(Exception):
    """As many steps are done as are measured."""


def characters_per_second(
    text: Text, vocab_size: int, batch_size: int, ranks: Ranks = ONE_RANK, steps: int = MEASURED_STEPS
) -> float:
    """Characters per second of all ranks together. The first step is left out."""
    done: list[float] = []

    def step_done(*_: object) -> None:
        done.append(time.perf_counter())
        if len(done) == steps:
            raise EnoughStepsError

    torch.manual_seed(0)
    model = CharLM(ModelConfig(vocab_size, "gru", HIDDEN))
    train = like_the_textbook(batch_size=batch_size)
    hooks = Hooks(None, lambda: (), lambda _: None, step_done, lambda _: None, lambda _: None)
    runtime = RuntimeParams(checkpoint_seconds=1e9)
    with suppress(EnoughStepsError):
        Trainer(model, text, train, runtime, 0, hooks, ranks).run()
    return batch_size * STEPS * (steps - 1) / (done[-1] - done[0])
