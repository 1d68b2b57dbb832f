"""What a run gives, as files: its figures and its samples. Both repeat to the byte.

Samples are files of their own, because models that know song lyrics by heart write song lyrics: DVC keeps
them, and git does not.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.artifacts import write_json
from pipeline.errors import RefrainError

FOLDER = Path("replications")
OVERLAYS = FOLDER / "overlays.json"
RESULTS = FOLDER / "results"
SAMPLES = FOLDER / "samples"


@dataclass(frozen=True)
class Sample:
    """Greedy text after so many epochs: one text for each prefix, without the prefix."""

    epoch: int
    texts: list[str]


@dataclass(frozen=True)
class Result:
    """The figures of one run.

    ``perplexity`` is over each epoch while the weights change, as the textbook prints it. ``held_out`` maps
    epochs to the perplexity of the validation split, if there is one. ``baselines`` has the held-out
    perplexity of the predictors that only count. ``stopped`` says why a training ended early. ``versions``
    are those of the packages that compute.
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

    def perplexity_at(self, epoch: int) -> float | None:
        """The perplexity of epoch ``epoch`` (from 1); None if the run ended before."""
        return self.perplexity[epoch - 1] if epoch <= len(self.perplexity) else None


def write_run(name: str, result: Result, samples: list[Sample]) -> None:
    """Write the two files of run ``name``."""
    write_json(RESULTS / f"{name}.json", asdict(result))
    write_json(SAMPLES / f"{name}.json", [asdict(sample) for sample in samples])


def read_result(name: str) -> Result:
    """The figures of run ``name``; :class:`RefrainError` if there are none."""
    return Result(**read_json(RESULTS / f"{name}.json"))


def read_samples(name: str) -> list[Sample]:
    """The samples of run ``name``; :class:`RefrainError` if there are none."""
    return [Sample(**sample) for sample in read_json(SAMPLES / f"{name}.json")]


def read_json(path: Path, command: str = "make replicate") -> Any:
    """What a JSON file holds; :class:`RefrainError` if it is not there, naming the command that writes it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RefrainError(f"{path} is not there: run `{command}`") from None
