"""What our use of PyTorch's optimisers brings: the functions of torch.optim against its classes.

``python -m benchmarks.optimizers`` trains the GRU of the recipe ``default`` with each, in processes that take
turns, and says whether both end in the same weights. It takes some minutes.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Iterable
from functools import cache
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.processes import measured_by, peak_megabytes
from benchmarks.setups import BATCH, HIDDEN, STEPS, VOCABULARY, like_the_textbook
from pipeline import device
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.params.recipes import load_recipe
from pipeline.params.train import TrainParams
from pipeline.program import run_program
from pipeline.training.loop import Hooks, Trainer
from pipeline.training.optim import Optimizer, memory_order_gradients
from replications.run import encode

SIDES = ("torch", "ours")
START_UPS = 5
FIRST_STEPS = 20
CLASSES: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


class TorchOptimizer:
    """The work of :class:`pipeline.training.optim.Optimizer`, done by the classes of ``torch.optim``.

    Set up as cheaply as they allow: fused, weights and gradients in the order in which they lie in memory,
    clipped within the fused step, where a gradient scaler would hand in its scale.
    """

    def __init__(self, params: TrainParams, parameters: Iterable[nn.Parameter]) -> None:
        self._clip, self._parameters = params.clip, list(parameters)
        self._weights = [p.detach() if p.is_contiguous() else p.detach().t() for p in self._parameters]
        decay = params.weight_decay
        kind: Any = CLASSES[params.optimizer]
        self._optimizer = kind(self._weights, lr=params.learning_rate, weight_decay=decay, fused=True)

    @torch.no_grad()
    def step(self, learning_rate: float) -> Tensor:
        """Move the weights along their gradients; return the gradients' norm before clipping."""
        gradients = memory_order_gradients(self._parameters)
        for weight, gradient in zip(self._weights, gradients, strict=True):
            weight.grad = gradient
        norm = nn.utils.get_total_norm(gradients)
        if self._clip is not None:
            self._optimizer.grad_scale = (norm / self._clip).clamp(min=1)
        self._optimizer.param_groups[0]["lr"] = learning_rate
        self._optimizer.step()
        return norm


@cache
def start_ups() -> dict[str, dict[str, float]]:
    """By side, what a process takes that makes the optimiser and does its first steps: medians of processes
    that take turns.
    """
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(START_UPS):
        for side in SIDES:
            started = time.perf_counter()
            figures = measured_by("-m", "benchmarks.optimizers", "--first-steps-of", side)
            found[side].append({"seconds": time.perf_counter() - started, **figures})
    return {side: medians(rows) for side, rows in found.items()}


def first_steps(side: str) -> dict[str, float]:
    """Take the first steps with one optimiser; the processor time and the peak memory of this process."""
    model, train = CharLM(ModelConfig(VOCABULARY, "gru", HIDDEN)), like_the_textbook()
    optimizer = new_optimizer(side, train, model)
    ids = torch.randint(VOCABULARY, (STEPS + 1, BATCH))
    for _ in range(FIRST_STEPS):
        model.zero_grad()
        loss, _ = model.loss(ids[:-1], ids[1:], model.initial_state(BATCH))
        loss.backward()
        optimizer.step(1e-3)
    return {"processor_seconds": time.process_time(), "megabytes": peak_megabytes()}


def whole_training(side: str) -> dict[str, float | str]:
    """Train the GRU of the recipe ``default`` to the end; its seconds, and a digest of its weights."""
    started = time.perf_counter()
    params = load_recipe("default")
    train, settings = params.train_params("gru"), params.models["gru"]
    vocab, splits = encode(params)
    torch.manual_seed(params.seed)
    model = CharLM(ModelConfig(len(vocab), **settings.architecture), train.implementation)
    hooks = Hooks(None, lambda: (), lambda _: None, lambda *_: None, lambda _: None, lambda _: None)
    trainer = Trainer(model, splits["train"], train, params.runtime, params.seed, hooks)
    trainer.optimizer = new_optimizer(side, train, model)
    while not trainer.is_finished():
        for inputs, labels in trainer.minibatches():
            trainer.step(inputs, labels)
        trainer.finish_epoch()
    seconds = {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time()}
    weights = b"".join(weight.numpy().tobytes() for weight in model.weights().values())
    return {**seconds, "weights": hashlib.sha256(weights).hexdigest()}


def whole_trainings(rounds: int) -> tuple[dict[str, dict[str, float]], bool]:
    """Medians of whole trainings by side, in processes that take turns; whether all give the same weights."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    weights = set()
    for _ in range(rounds):
        for side in SIDES:
            figures = measured_by("-m", "benchmarks.optimizers", "--training-of", side)
            weights.add(figures.pop("weights"))
            found[side].append(figures)
            print(f"{side}: {json.dumps(figures)}", flush=True)
    return {side: medians(rows) for side, rows in found.items()}, len(weights) == 1


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {key: median(row[key] for row in rows) for key in rows[0]}


def new_optimizer(side: str, train: TrainParams, model: CharLM) -> Any:
    """The optimiser of one side."""
    return {"torch": TorchOptimizer, "ours": Optimizer}[side](train, model.parameters())


def main(rounds: int, first_steps_of: str | None, training_of: str | None) -> None:
    """Measure both sides and print their medians."""
    device.set_up(torch.device("cpu"), None, "highest", HIDDEN)
    if first_steps_of:
        print(json.dumps(first_steps(first_steps_of)))
        return
    if training_of:
        print(json.dumps(whole_training(training_of)))
        return
    (whole, same), start = whole_trainings(rounds), start_ups()
    print("seconds on the clock (and of processor time):")
    for side in SIDES:
        first, all_steps = start[side], whole[side]
        print(
            f"{side}: {FIRST_STEPS} steps in a new process {first['seconds']:.2f} s "
            f"({first['processor_seconds']:.2f} s), {first['megabytes']:.0f} MB; "
            f"whole training {all_steps['seconds']:.2f} s ({all_steps['processor_seconds']:.2f} s)"
        )
    print(f"all trainings end in the same weights: {'yes' if same else 'no'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.optimizers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="trainings of each side (3)")
    parser.add_argument("--first-steps-of", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--training-of", choices=SIDES, help=argparse.SUPPRESS)
    run_program(main, parser)
