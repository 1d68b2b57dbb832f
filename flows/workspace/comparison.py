"""What ``refrain diff`` says about two revisions, as data."""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from flows.workspace.programs import Programs
from pipeline.reporting.tables import format_perplexity


class Comparison(BaseModel):
    """A row of ``refrain diff --json``: one model on one held-out split, accepted and new."""

    model: str
    split: str
    status: Literal["compared", "new", "gone", "missing", "not comparable"]
    verdict: str
    note: str
    before: float | None = None
    after: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.before is None or self.after is None or self.change is None:
            return f"{self.model} {self.split}: {self.note}"
        change = f"{self.change:+.2%}"
        if self.low is not None and self.high is not None:
            change += f", 95% interval {self.low:+.2%} to {self.high:+.2%}"
        before, after = format_perplexity(self.before), format_perplexity(self.after)
        return f"{self.model} {self.split} {before} -> {after} ({change})"

    def cells(self) -> dict[str, str]:
        """A row of a table."""
        has_ends = self.low is not None and self.high is not None
        return {
            "model": self.model,
            "split": self.split,
            "before": "" if self.before is None else format_perplexity(self.before),
            "after": "" if self.after is None else format_perplexity(self.after),
            "change": "" if self.change is None else f"{self.change:+.2%}",
            "95% interval": f"{self.low:+.2%} to {self.high:+.2%}" if has_ends else "",
            "verdict": self.verdict,
            "note": self.note,
        }


def compare(folder: Path, before: str, after: str | None = None) -> list[Comparison]:
    """The models of the revision ``after`` (None: those in ``folder``) compared with those of ``before``."""
    revisions = [before] if after is None else [before, after]
    *_, last = Programs(folder).refrain("diff", *revisions, "--json", on_line=lambda _: None)
    return [Comparison.model_validate(row) for row in json.loads(last)["differences"]]
