"""What the exercises about cost show: times and memory that ``python -m benchmarks.exercises`` measured.

Wall times are no result: they differ from run to run. So a person measures them on purpose, and git keeps
the file that the pages read.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.artifacts import write_json
from replications.results import read_json

COSTS = Path("benchmarks/exercises.json")

HYPERPARAMETER_RUNS = {
    "rnn-torch": "as published",
    "hidden-64": "64 units",
    "hidden-128": "128 units",
    "hidden-512": "512 units",
    "steps-10": "10 steps",
    "steps-100": "100 steps",
    "batch-8": "minibatches of 8",
    "batch-128": "minibatches of 128",
    "rate-0.0001": "rate 0.0001",
    "rate-0.01": "rate 0.01",
}
"""The runs of exercise 1: what the page calls them, by name."""


@dataclass(frozen=True)
class EpochCost:
    """The median epoch of a run: its seconds, and the characters that it trains on in a second."""

    seconds: float
    characters_per_second: float


@dataclass(frozen=True)
class MinibatchCost:
    """One minibatch, counted from 1: its seconds, and the peak memory of its process so far."""

    minibatch: int
    seconds: float
    megabytes: float


@dataclass(frozen=True)
class Costs:
    """Costs of epochs by run; of minibatches with the hidden state detached and undetached."""

    processor: str
    threads: int
    epochs: dict[str, EpochCost]
    detached: list[MinibatchCost]
    undetached: list[MinibatchCost]


def write_costs(costs: Costs) -> None:
    """Write ``benchmarks/exercises.json``."""
    write_json(COSTS, asdict(costs))


def read_costs() -> Costs:
    """Read ``benchmarks/exercises.json``; :class:`RefrainError` if it is not there."""
    stored = read_json(COSTS, "python -m benchmarks.exercises")
    return Costs(
        processor=stored["processor"],
        threads=stored["threads"],
        epochs={name: EpochCost(**cost) for name, cost in stored["epochs"].items()},
        detached=[MinibatchCost(**cost) for cost in stored["detached"]],
        undetached=[MinibatchCost(**cost) for cost in stored["undetached"]],
    )
