from pathlib import Path

import pytest

from pipeline.arithmetic.rounding import format_perplexity
from pipeline.commands.show import metrics_table
from pipeline.errors import RefrainError
from pipeline.reporting.tables import Metrics, perplexities, perplexity_rows, read_json, splits_of


def metrics(*splits: str) -> Metrics:
    names = ["uniform", "gru", "unigram", "rnn", "bigram", "ngram"]
    return {
        name: {split: {"perplexity": 2.0**i, "bits_per_character": float(i)} for split in splits}
        for i, name in enumerate(names)
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (1.01234, "1.012"),
        (69.876, "69.88"),
        (999.4, "999.4"),
        (1666.4, "1,666"),
        (2.5e6, "2,500,000"),
        (1e9, "1e+09"),
    ],
)
def test_perplexity_has_four_digits_that_count(value: float, text: str) -> None:
    assert format_perplexity(value) == text


def test_models_come_before_baselines() -> None:
    rows = perplexity_rows(metrics("train", "test"))
    assert [(r.name, r.is_baseline) for r in rows] == [
        ("gru", False),
        ("rnn", False),
        ("uniform", True),
        ("unigram", True),
        ("bigram", True),
        ("ngram", True),
    ]
    assert rows[0].perplexities == ["2", "2"]
    assert rows[4].bits == ["4.000", "4.000"]


def test_what_is_recited_is_no_split_and_held_out_text_no_model() -> None:
    figures, recited = metrics("train", "test"), {"longest": 5, "share": 0.1}
    figures["gru"]["recited"] = {"greedy": recited}
    figures["held-out"] = {"recited": recited}
    assert perplexity_rows(figures) == perplexity_rows(metrics("train", "test"))
    assert perplexities(figures, ["gru"]) == {"gru": {"train": 2.0, "test": 2.0}}


def test_ngrams_are_shown_with_their_order() -> None:
    figures = metrics("train")
    figures["ngram"]["train"]["order"] = 5
    assert perplexity_rows(figures)[-1].name == "5-gram"


def test_results_of_earlier_versions_can_be_shown() -> None:
    earlier = {name: figures for name, figures in metrics("train").items() if name != "ngram"}
    assert [row.name for row in perplexity_rows(earlier)][-1] == "bigram"


@pytest.mark.parametrize("splits", [("train",), ("train", "valid", "test")])
def test_only_splits_that_have_text_are_columns(splits: tuple[str, ...]) -> None:
    assert splits_of(metrics(*splits)) == list(splits)
    assert [column.header for column in metrics_table(metrics(*splits)).columns] == ["model", *splits]


def test_absent_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RefrainError, match="run `dvc repro`"):
        read_json(tmp_path / "metrics.json")
