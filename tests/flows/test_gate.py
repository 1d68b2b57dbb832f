"""What the gate decides about rows of `refrain diff --json`."""

from typing import Any

import pytest

from flows.gate import outcome, refusals
from pipeline.evaluation.difference import Difference


def row(**values: Any) -> Difference:
    compared = {"model": "gru", "split": "test", "status": "compared", "verdict": "not compared"}
    return Difference(**(compared | values))


def change(change: float, low: float | None, high: float | None) -> Difference:
    return row(before=100.0, after=100 * (1 + change), change=change, low=low, high=high)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (change(-0.10, -0.15, -0.05), "accepted"),
        (change(0.0, 0.0, 0.0), "accepted"),
        (change(0.009, 0.005, 0.013), "accepted"),
        (change(0.05, 0.009, 0.09), "inconclusive"),
        (change(0.05, -0.02, 0.12), "inconclusive"),
        (change(0.05, 0.011, 0.09), "refused"),
        (change(0.05, None, None), "inconclusive"),
        (change(0.005, None, None), "accepted"),
        (row(status="new", note="a new model"), "accepted"),
        (row(status="missing", note="workspace has no losses"), "refused"),
        (row(status="gone", note="workspace does not have it"), "refused"),
        (row(status="not comparable", note="the weights are lost"), "inconclusive"),
    ],
)
def test_a_model_is_refused_if_its_interval_lies_above_what_is_allowed(
    pair: Difference, expected: str
) -> None:
    assert outcome(pair, 0.01) == expected
    assert bool(refusals([pair], 0.01)) == (expected == "refused")


def test_reasons_have_the_figures() -> None:
    assert refusals([change(0.05, 0.011, 0.09), change(0.0, 0.0, 0.0)], 0.01) == [
        "gru test 100 -> 105 (+5.00%, 95% interval +1.10% to +9.00%): worse by more than 1.00%"
    ]
    assert refusals([row(status="missing", note="workspace has no losses")], 0.01) == [
        "gru test: workspace has no losses"
    ]


def test_without_held_out_text_nothing_is_accepted() -> None:
    assert refusals([], 0.01) == [
        "there is no held-out perplexity to compare: give corpus.split.valid or test more than 0"
    ]
