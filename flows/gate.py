"""The gate: a new model is refused if its held-out perplexity is shown to be worse by more than is allowed.

``refrain diff`` compares it with the accepted model, on the same characters. This module decides.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from pipeline.errors import RefrainError
from pipeline.evaluation.difference import Difference
from pipeline.params.explain import explain_errors
from pipeline.params.load import PARAMS_FILE, Params
from pipeline.params.section import Section

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


def outcome(pair: Difference, max_regression: float) -> Outcome:
    """Whether the new model is accepted.

    It is refused if the interval of the change lies above ``max_regression``, or if it has no figure. If
    only the estimate is above, or if nothing can be compared, it is accepted as inconclusive.
    """
    if pair.status in ("gone", "missing"):
        return "refused"
    if pair.status == "not comparable":
        return "inconclusive"
    if pair.low is not None and pair.low > max_regression:
        return "refused"
    return "inconclusive" if pair.change is not None and pair.change > max_regression else "accepted"


def refusals(comparisons: Sequence[Difference], max_regression: float) -> list[str]:
    """Why the new models are refused, a line for each reason; empty if they are accepted."""
    if not comparisons:
        return ["there is no held-out perplexity to compare: give corpus.split.valid or test more than 0"]
    return [
        f"{row}: worse by more than {max_regression:.2%}" if row.low is not None else str(row)
        for row in comparisons
        if outcome(row, max_regression) == "refused"
    ]
