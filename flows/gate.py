"""The gate: a new model is refused if its held-out perplexity is shown to be worse by more than is allowed.

``refrain diff`` compares it with the accepted model, on the same characters. This module decides.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from flows.workspace.programs import Programs
from pipeline.errors import RefrainError
from pipeline.params.explain import explain_errors
from pipeline.params.load import PARAMS_FILE, Params
from pipeline.params.section import Section
from pipeline.reporting.tables import format_perplexity

Outcome = Literal["accepted", "inconclusive", "refused"]


class GateParams(Section):
    """``gate`` in ``params.yaml``."""

    max_regression: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    """How much worse a model's held-out perplexity may get in an unattended run; 0.01: one per cent."""


def read_gate(params: Params) -> GateParams:
    """Read the section ``gate``. Raise :class:`RefrainError` that names what is wrong in it."""
    try:
        return GateParams.model_validate(params.gate)
    except ValidationError as error:
        raise RefrainError(f"{PARAMS_FILE}: {explain_errors(error, 'gate', GateParams)}") from None


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

    def outcome(self, max_regression: float) -> Outcome:
        """Whether the new model is accepted.

        It is refused if the interval of the change lies above ``max_regression``, or if it has no figure. If
        only the estimate is above, or if nothing can be compared, it is accepted as inconclusive.
        """
        if self.status in ("gone", "missing"):
            return "refused"
        if self.status == "not comparable":
            return "inconclusive"
        if self.low is not None and self.low > max_regression:
            return "refused"
        return "inconclusive" if self.change is not None and self.change > max_regression else "accepted"


def compare(folder: Path, accepted: str) -> list[Comparison]:
    """The models in ``folder`` compared with those of the revision ``accepted``."""
    *_, last = Programs(folder).refrain("diff", accepted, "--json", on_line=lambda _: None)
    return [Comparison.model_validate(row) for row in json.loads(last)["differences"]]


def refusals(comparisons: Sequence[Comparison], max_regression: float) -> list[str]:
    """Why the new models are refused, a line for each reason; empty if they are accepted."""
    if not comparisons:
        return ["there is no held-out perplexity to compare: give corpus.split.valid or test more than 0"]
    return [
        f"{row}: worse by more than {max_regression:.2%}" if row.low is not None else str(row)
        for row in comparisons
        if row.outcome(max_regression) == "refused"
    ]
