"""The textbook's published figures, and how far apart seeds end in ours."""

import csv
from dataclasses import dataclass
from pathlib import Path

from replications.results import FOLDER, read_result

PUBLISHED = FOLDER / "published.csv"
SPREAD = FOLDER / "spread.csv"


@dataclass(frozen=True)
class Published:
    """A published perplexity. The measured one may be up to ``tolerance`` times as large or as small."""

    recipe: str
    epoch: int
    perplexity: float
    tolerance: float
    reason: str

    def measured(self) -> float | None:
        """The perplexity of our run at the same epoch; None if it ended before."""
        return read_result(self.recipe).perplexity_at(self.epoch)

    def agrees(self) -> bool:
        """Whether the measured perplexity is within the tolerance."""
        value = self.measured()
        return value is not None and 1 / self.tolerance <= value / self.perplexity <= self.tolerance


def read_published() -> list[Published]:
    """All published figures."""
    return [
        Published(
            recipe=row["recipe"],
            epoch=int(row["epoch"]),
            perplexity=float(row["perplexity"]),
            tolerance=float(row["tolerance"]),
            reason=row["reason"],
        )
        for row in _rows(PUBLISHED)
    ]


def read_spread() -> dict[tuple[str, int], tuple[float | None, ...]]:
    """The perplexities of seeds 1 and 2 (see :mod:`replications.spread`), by recipe and epoch.

    None where a training ended before the epoch.
    """
    return {
        (row["recipe"], int(row["epoch"])): tuple(
            float(row[seed]) if row[seed] else None for seed in ("seed 1", "seed 2")
        )
        for row in _rows(SPREAD)
    }


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
