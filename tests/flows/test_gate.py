import math

import pytest

from flows.gate import Comparison, compare, refusals
from pipeline.reporting.tables import Metrics


def metrics(**valid: float) -> Metrics:
    return {name: {"train": {"perplexity": 1.0}, "valid": {"perplexity": v}} for name, v in valid.items()}


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        (metrics(gru=100.0), metrics(gru=90.0), []),
        (metrics(gru=100.0), metrics(gru=100.0), []),
        (metrics(gru=100.0), metrics(gru=101.0), []),
        (
            metrics(gru=100.0, rnn=50.0),
            metrics(gru=101.5, rnn=50.0),
            ["gru valid 100 -> 101.5 (+1.50%): worse by more than 1.00%"],
        ),
        (metrics(gru=100.0), metrics(), ["gru valid 100 -> none: the new figure is missing"]),
        (metrics(gru=100.0), metrics(gru=math.nan), ["gru valid 100 -> nan: the new figure is not a number"]),
        (metrics(gru=100.0), metrics(gru=math.inf), ["gru valid 100 -> inf: the new figure is not a number"]),
        (metrics(gru=math.nan), metrics(gru=100.0), []),
        (metrics(), metrics(gru=100.0), []),
        (metrics(unigram=100.0, gru=1.0), metrics(unigram=900.0, gru=1.0), []),
    ],
)
def test_gate(before: Metrics, after: Metrics, reasons: list[str]) -> None:
    assert refusals(compare(before, after), 0.01) == reasons


def test_only_held_out_splits_are_compared() -> None:
    assert compare(metrics(gru=2.0), metrics(gru=1.0)) == [Comparison("gru", "valid", 2.0, 1.0)]


def test_without_held_out_text_nothing_is_accepted() -> None:
    only_training: Metrics = {"gru": {"train": {"perplexity": 1.0}}}
    assert refusals(compare(only_training, only_training), 0.01) == [
        "there is no held-out perplexity to compare: give corpus.split.valid or test more than 0"
    ]


def test_comparison_in_words() -> None:
    assert str(Comparison("gru", "test", 1800.0, 1750.0)) == "gru test 1,800 -> 1,750 (-2.78%)"
    assert str(Comparison("gru", "test", None, 1750.0)) == "gru test none -> 1,750"
