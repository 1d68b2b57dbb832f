import re
from pathlib import Path

import pytest

from pipeline.reporting.charts import learning_curves, read_curves


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for model, split, values in (
        ("rnn", "train", [9.0, 4.0]),
        ("gru", "train", [8.0, 3.0]),
        ("gru", "valid", [8.5]),
    ):
        path = tmp_path / model / "plots/metrics" / split / "perplexity.tsv"
        path.parent.mkdir(parents=True)
        lines = [f"{step}\t{value}" for step, value in enumerate(values, 1)]
        path.write_text("\n".join(["step\tperplexity", *lines]) + "\n", encoding="utf-8")
    return tmp_path


def test_curves_of_all_models_in_one_table(folder: Path) -> None:
    rows = read_curves(folder, ["rnn", "gru"]).to_dict("records")
    assert [(r["model"], r["split"], r["step"], r["perplexity"]) for r in rows] == [
        ("rnn", "train", 1, 9.0),
        ("rnn", "train", 2, 4.0),
        ("gru", "train", 1, 8.0),
        ("gru", "train", 2, 3.0),
        ("gru", "valid", 1, 8.5),
    ]


def test_picture_names_models_and_has_the_same_bytes_each_time(folder: Path) -> None:
    curves = read_curves(folder, ["rnn", "gru"])
    svg = learning_curves(curves, ["rnn", "gru"])
    assert svg.startswith("<svg")
    for label in (">rnn<", ">gru<", ">perplexity<", ">step<", ">valid<"):
        assert label in svg
    assert learning_curves(curves, ["rnn", "gru"]) == svg


def test_each_value_has_a_label_in_words(folder: Path) -> None:
    svg = learning_curves(read_curves(folder, ["rnn", "gru"]), ["rnn", "gru"])
    points = svg.partition("mark-symbol role-mark")[2]
    assert re.findall(r'aria-label="([^"]*)"[^>]*="point"', points) == [
        "rnn, train, step 1: 9",
        "rnn, train, step 2: 4",
        "gru, train, step 1: 8",
        "gru, train, step 2: 3",
        "gru, valid, step 1: 8.5",
    ]
