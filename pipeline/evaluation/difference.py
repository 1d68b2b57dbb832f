"""The difference between two revisions of a model, as ``refrain diff`` gives it to people and to programs."""

from dataclasses import dataclass
from typing import Literal

from pipeline.arithmetic.rounding import format_perplexity

Status = Literal["compared", "new", "gone", "missing", "not comparable"]
Verdict = Literal["better", "worse", "no difference shown", "too short for an interval", "not compared"]


@dataclass(frozen=True)
class Difference:
    """A model on a held-out split. ``note`` says what the figures mean, or why there are none.

    ``before`` and ``after`` are perplexities on the same ``characters``. ``left_out`` were left out, because
    one of the models does not know them. ``change`` is relative (0.01: one per cent worse), with its 95%
    interval from ``low`` to ``high``. ``seed_half_width`` is the part of another seed, already in the
    interval: half a width of the ratio's logarithm.
    """

    model: str
    split: str
    status: Status
    verdict: Verdict = "not compared"
    note: str = ""
    before: float | None = None
    after: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    seed_half_width: float = 0.0
    characters: int = 0
    left_out: int = 0

    def cells(self) -> dict[str, str]:
        """A row of a table."""
        before, after = ("" if v is None else format_perplexity(v) for v in (self.before, self.after))
        has_ends = self.low is not None and self.high is not None
        return {
            "model": self.model,
            "split": self.split,
            "before": before,
            "after": after,
            "change": "" if self.change is None else f"{self.change:+.1%}",
            "95% interval": f"{self.low:+.1%} to {self.high:+.1%}" if has_ends else "",
            "verdict": self.verdict,
        }

    def __str__(self) -> str:
        if self.before is None or self.after is None or self.change is None:
            return f"{self.model} {self.split}: {self.note}"
        change = f"{self.change:+.2%}"
        if self.low is not None and self.high is not None:
            change += f", 95% interval {self.low:+.2%} to {self.high:+.2%}"
        before, after = format_perplexity(self.before), format_perplexity(self.after)
        return f"{self.model} {self.split} {before} -> {after} ({change})"
