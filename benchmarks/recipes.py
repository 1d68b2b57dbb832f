"""Train the recipes for Tiny Shakespeare against the clock: ``make bench-recipes``, twelve minutes.

Writes ``recipes.json``, which :mod:`benchmarks.bench` puts into its page.
"""

import math
from dataclasses import asdict, dataclass

from benchmarks import machine
from benchmarks.setups import FOLDER
from pipeline.artifacts import write_json
from pipeline.program import run_program
from pipeline.text.catalog import fetch_text
from replications.run import train_recipe

BARS = {"tiny_shakespeare": (80, 1.58), "tiny_shakespeare_10min": (600, 1.50)}
"""Seconds, and nats per character of the held-out tenth."""


@dataclass(frozen=True)
class Reached:
    """Held-out nats per character that a recipe reached, in how many seconds with evaluation and samples."""

    recipe: str
    nats: float
    seconds: float
    bar_nats: float
    bar_seconds: float


def main() -> None:
    """Train, print and write."""
    fetch_text("tiny_shakespeare")
    found = []
    for recipe, (seconds, nats) in BARS.items():
        training = train_recipe(recipe)
        last = list(training.result.held_out.values())[-1]
        found.append(Reached(recipe, math.log(last), training.seconds, nats, seconds))
        print(f"{recipe}: {found[-1].nats:.3f} nats in {found[-1].seconds:.0f} s", flush=True)
    content = {"machine": asdict(machine.describe()), "recipes": [asdict(one) for one in found]}
    write_json(FOLDER / "recipes.json", content)


if __name__ == "__main__":
    run_program(main)
