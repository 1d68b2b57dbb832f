"""The line that training writes to its log now and then, and how to parse it."""

import re
from dataclasses import dataclass

LINE = re.compile(
    r"(?P<model>\w+): epoch (?P<epoch>\d+)/(?P<epochs>\d+), perplexity (?P<train>\S+?)"
    r"(?:, validation (?P<valid>\S+?))?, (?P<speed>[\d,]+) characters/s"
)


@dataclass(frozen=True)
class ProgressLine:
    """The progress of a training. ``valid_perplexity`` is None if the epoch was not evaluated."""

    model: str
    epoch: int
    epochs: int
    train_perplexity: float
    valid_perplexity: float | None
    characters_per_second: float

    def __str__(self) -> str:
        valid = "" if self.valid_perplexity is None else f", validation {self.valid_perplexity:.4g}"
        return (
            f"{self.model}: epoch {self.epoch}/{self.epochs}, perplexity {self.train_perplexity:.4g}{valid}, "
            f"{self.characters_per_second:,.0f} characters/s"
        )


def parse(line: str) -> ProgressLine | None:
    """The progress that a line shows, or None for any other line."""
    match = LINE.fullmatch(line)
    if not match:
        return None
    return ProgressLine(
        match["model"],
        int(match["epoch"]),
        int(match["epochs"]),
        float(match["train"]),
        float(match["valid"]) if match["valid"] else None,
        float(match["speed"].replace(",", "")),
    )
