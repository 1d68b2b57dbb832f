"""How far a training has come, as a line for its log and as a file for the flow that runs it.

The flow names the file by an environment variable. It does not look for progress in the log: what a model
writes is there, too, and may look like anything.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from tqdm import tqdm

PROGRESS_FILE = "REFRAIN_PROGRESS_FILE"
"""The environment variable with the path of the file. Without it, nothing is written."""

MAX_BYTES = 1000
"""A larger file was not written by a training."""

Perplexity = Annotated[float, Field(ge=0)]


class ProgressReport(BaseModel):
    """The progress of a training. ``valid_perplexity`` is None if there is no validation text.

    ``seconds_left`` is how long the remaining steps take if no early stopping ends the training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    model: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    epoch: Annotated[int, Field(ge=1)]
    epochs: int
    step: Annotated[int, Field(ge=1)]
    steps: int
    train_perplexity: Perplexity
    valid_perplexity: Perplexity | None
    characters_per_second: Annotated[float, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0)]
    seconds_left: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _step_is_one_of_them(self) -> Self:
        if self.epoch > self.epochs or self.step > self.steps:
            raise ValueError(f"epoch {self.epoch} of {self.epochs}, step {self.step} of {self.steps}")
        return self

    def __str__(self) -> str:
        valid = "" if self.valid_perplexity is None else f", validation {self.valid_perplexity:.4g}"
        return (
            f"{self.model}: epoch {self.epoch}/{self.epochs}, perplexity {self.train_perplexity:.4g}{valid}, "
            f"{self.characters_per_second:,.0f} characters/s, {tqdm.format_interval(self.seconds)} elapsed, "
            f"at most {tqdm.format_interval(self.seconds_left)} left"
        )


def send_report(report: ProgressReport) -> None:
    """Write the file that the environment names, if it names one. A training does not fail because of it."""
    if path := os.environ.get(PROGRESS_FILE):
        with suppress(OSError):
            temporary = Path(f"{path}.tmp")
            temporary.write_text(report.model_dump_json(), encoding="utf-8")
            temporary.replace(path)


def read_report(path: Path) -> ProgressReport | None:
    """The report in a file, or None if there is none, or if it is wrong."""
    try:
        with path.open("rb") as file:
            return ProgressReport.model_validate_json(file.read(MAX_BYTES))
    except (OSError, ValidationError):
        return None
