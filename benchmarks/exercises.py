"""Measure what the textbook's exercises about cost show: ``python -m benchmarks.exercises``, two minutes.

Writes ``exercises.json``, from which ``make replicate`` takes the figures of its pages. Run it after
``make replicate``, and once more when the code becomes faster, with nothing else running.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks import machine
from benchmarks.processes import measured_by, peak_megabytes
from pipeline.data.batches import classic_consecutive
from pipeline.device import CORES
from pipeline.nn.language_model import detach
from pipeline.params.recipes import load_recipe
from pipeline.program import run_program
from replications.pages.costs import HYPERPARAMETER_RUNS, Costs, EpochCost, MinibatchCost, write_costs
from replications.results import read_result
from replications.run import encode, new_model, train_recipe

ROUNDS = 3
EPOCHS = 5
"""Epochs of each run in each round."""

MINIBATCHES = 40
STATES: dict[str, Callable[[Any], Any]] = {"detached": detach, "undetached": lambda state: state}


def epoch_costs(rounds: int = ROUNDS, epochs: int = EPOCHS) -> dict[str, EpochCost]:
    """What an epoch of each run of exercise 1 costs: medians over rounds in which all take turns."""
    found: dict[str, list[EpochCost]] = {name: [] for name in HYPERPARAMETER_RUNS}
    for _ in range(rounds):
        for name, costs in found.items():
            result = read_result(name)
            shorter = [*result.changes, f"train.epochs={epochs}", "train.sample.every=0"]
            training = train_recipe(result.recipe, shorter)
            costs.append(EpochCost(training.epoch_seconds, training.characters_per_second))
    return {
        name: EpochCost(
            median(cost.seconds for cost in costs), median(cost.characters_per_second for cost in costs)
        )
        for name, costs in found.items()
    }


def minibatch_costs(side: str) -> list[MinibatchCost]:
    """What each of the first minibatches costs, ``detached`` or ``undetached``: medians over processes."""
    command = ("-m", "benchmarks.exercises", "--minibatches-of", side)
    found = [[MinibatchCost(**row) for row in measured_by(*command)] for _ in range(ROUNDS)]
    return [
        MinibatchCost(index + 1, median(c.seconds for c in costs), median(c.megabytes for c in costs))
        for index, costs in enumerate(zip(*found, strict=True))
    ]


def minibatches_of(side: str, count: int = MINIBATCHES) -> list[MinibatchCost]:
    """Costs of the first minibatches of the recipe ``rnn-torch``, started again where its text ends.

    ``undetached``, each minibatch's loss reaches back through all minibatches before it. The weights stay as
    they are: optimisers change them in place, and PyTorch then refuses the next backward pass.
    """
    recipe = "rnn-torch"
    params = load_recipe(recipe)
    train = params.train_params("rnn")
    vocab, splits = encode(params)
    model, _ = new_model(recipe, params, len(vocab))
    minibatches = list(classic_consecutive(splits["train"], train.batch_size, train.num_steps))
    state, costs = model.initial_state(train.batch_size), []
    for index in range(count):
        inputs, labels = minibatches[index % len(minibatches)]
        started = time.perf_counter()
        loss, state = model.loss(inputs, labels, STATES[side](state))
        model.zero_grad()
        loss.backward(retain_graph=side == "undetached")
        costs.append(MinibatchCost(index + 1, time.perf_counter() - started, peak_megabytes()))
    return costs


def main(side: str | None) -> None:
    """Measure, print and write."""
    if side:
        print(json.dumps([asdict(cost) for cost in minibatches_of(side)]))
        return
    epochs = epoch_costs()
    for name, cost in epochs.items():
        print(f"{name}: {cost.seconds:.3f} s an epoch, {cost.characters_per_second:,.0f} characters/s")
    minibatches = {name: minibatch_costs(name) for name in STATES}
    for name, costs in minibatches.items():
        last = costs[-1]
        print(f"{name}: minibatch {last.minibatch} {last.seconds:.3f} s, {last.megabytes:,.0f} MB")
    write_costs(Costs(machine.processor_name(), CORES, epochs, **minibatches))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exercises", description=__doc__)
    parser.add_argument("--minibatches-of", dest="side", choices=STATES, help=argparse.SUPPRESS)
    run_program(main, parser)
