"""The gate: no model may get worse on held-out text by more than is allowed."""

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, ValidationError

from pipeline.errors import RefrainError
from pipeline.params.corpus import HELD_OUT
from pipeline.params.explain import explain_errors
from pipeline.params.load import BASELINES, PARAMS_FILE, Params
from pipeline.params.section import Section
from pipeline.reporting.tables import Metrics, format_perplexity


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


@dataclass(frozen=True)
class Comparison:
    """Perplexity of one model on one split, accepted and new; None where there is none."""

    model: str
    split: str
    before: float | None
    after: float | None

    @property
    def change(self) -> float:
        """Relative change; infinite where one of the two is missing or not a number."""
        if self.before is None or self.after is None or math.isnan(self.after):
            return math.inf
        return self.after / self.before - 1

    def __str__(self) -> str:
        before, after = ("none" if v is None else format_perplexity(v) for v in (self.before, self.after))
        change = f" ({self.change:+.2%})" if math.isfinite(self.change) else ""
        return f"{self.model} {self.split} {before} -> {after}{change}"


def compare(before: Metrics, after: Metrics) -> list[Comparison]:
    """Held-out perplexities of every model in either of two ``metrics.json``."""
    models = [name for name in {**before, **after} if name not in BASELINES]
    pairs = [
        Comparison(model, split, _perplexity(before, model, split), _perplexity(after, model, split))
        for model in models
        for split in HELD_OUT
    ]
    return [pair for pair in pairs if pair.before is not None or pair.after is not None]


def refusals(comparisons: list[Comparison], max_regression: float) -> list[str]:
    """Why the new figures are refused, a line for each reason; empty if they are accepted.

    A figure is refused if it is missing, if it is not a number, or if it is above the accepted one by more
    than ``max_regression`` (0.01: one per cent). A new model is accepted with any finite figure.
    """
    if not comparisons:
        return ["there is no held-out perplexity to compare: give corpus.split.valid or test more than 0"]
    reasons = []
    for pair in comparisons:
        if pair.after is None:
            reasons.append(f"{pair}: the new figure is missing")
        elif not math.isfinite(pair.after):
            reasons.append(f"{pair}: the new figure is not a number")
        elif pair.before is not None and pair.after > pair.before * (1 + max_regression):
            reasons.append(f"{pair}: worse by more than {max_regression:.2%}")
    return reasons


def _perplexity(metrics: Metrics, model: str, split: str) -> float | None:
    return metrics.get(model, {}).get(split, {}).get("perplexity")
