"""What a run gave, as files: its figures, its samples, and its timings.

Figures and samples repeat to the byte, timings do not. Samples are files of their own, because models that
know song lyrics by heart write song lyrics: DVC keeps them, and git does not.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.artifacts import write_json

FOLDER = Path("replications")
RECIPES = FOLDER / "recipes"
RESULTS = FOLDER / "results"
SAMPLES = FOLDER / "samples"
TIMINGS = FOLDER / "timings"


@dataclass(frozen=True)
class Sample:
    """Greedy text after so many epochs, a text for each prefix, the prefix not included."""

    epoch: int
    texts: list[str]


@dataclass(frozen=True)
class Result:
    """One run. ``perplexity`` is over each epoch while the weights change, as the textbook prints it;
    ``held_out`` maps epochs to the perplexity of the validation split, if there is one, and ``baselines`` has
    those of the predictors that only count. ``stopped`` says why a training ended before its time.
    """

    recipe: str
    changes: list[str]
    seed: int
    characters: int
    vocab_size: int
    prefixes: list[str]
    perplexity: list[float]
    held_out: dict[str, float]
    baselines: dict[str, float]
    stopped: str | None
    versions: dict[str, str]


@dataclass(frozen=True)
class Timing:
    """How fast a run went, on what. ``seconds`` are those of a median epoch, ``total_seconds`` of all."""

    seconds: float
    characters_per_second: float
    total_seconds: float
    device: str


def write(name: str, result: Result, samples: list[Sample], timing: Timing) -> None:
    """Write a run's three files."""
    write_json(RESULTS / f"{name}.json", asdict(result))
    write_json(SAMPLES / f"{name}.json", [asdict(sample) for sample in samples])
    write_json(TIMINGS / f"{name}.json", asdict(timing))


def read_result(name: str) -> Result:
    """The figures of run ``name``."""
    return Result(**read_json(RESULTS / f"{name}.json"))


def read_samples(name: str) -> list[Sample]:
    """The samples of run ``name``."""
    return [Sample(**sample) for sample in read_json(SAMPLES / f"{name}.json")]


def read_timing(name: str) -> Timing:
    """The timing of run ``name``."""
    return Timing(**read_json(TIMINGS / f"{name}.json"))


def read_json(path: Path) -> Any:
    """What :func:`pipeline.artifacts.write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))
