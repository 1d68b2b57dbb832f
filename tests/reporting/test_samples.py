import json
from pathlib import Path

import pytest

from pipeline.commands.show import sample_lines
from pipeline.reporting.page import samples_side_by_side
from pipeline.reporting.samples import decoding_name, samples_markdown
from pipeline.reporting.tables import read_lines


def row(model: str, prefix: str, text: str, **decoding: float | None) -> dict[str, object]:
    settings = {"temperature": 0.0, "top_k": None, "top_p": None, **decoding}
    return {"model": model, "prefix": prefix, "text": text, **settings, "seed": 1}


@pytest.mark.parametrize(
    ("decoding", "name"),
    [
        ({}, "greedy"),
        ({"temperature": 1.0}, "temperature 1"),
        ({"temperature": 0.8, "top_k": 40, "top_p": 0.9}, "temperature 0.8, top-k 40, top-p 0.9"),
    ],
)
def test_decoding_in_words(decoding: dict[str, float], name: str) -> None:
    assert decoding_name(row("rnn", "a", "b", **decoding)) == name


def test_markdown_shows_the_text_as_it_is() -> None:
    text = samples_markdown([row("rnn", "a*", "b_c_\n<i># |")])
    assert text == "# Samples\n\n## rnn, greedy\n\n- <b>a\\*</b>b\\_c\\_ / \\<i\\>\\# \\|\n"


def test_side_by_side_also_where_two_samples_are_asked_for_alike() -> None:
    rows = [row(model, "a", f"{model}{i}") for model in ("rnn", "gru") for i in range(2)]
    assert samples_side_by_side(rows) == [
        ("a", "greedy", {"rnn": "rnn0", "gru": "gru0"}),
        ("a", "greedy", {"rnn": "rnn1", "gru": "gru1"}),
    ]


def test_terminal_shows_two_samples_a_model() -> None:
    rows = [row(model, "a", f"{i}\nx") for model in ("rnn", "gru") for i in range(4)]
    shown = [line.plain for line in sample_lines(rows)]
    assert shown == ["rnn, greedy:", "  a0 / x", "  a1 / x", "gru, greedy:", "  a0 / x", "  a1 / x"]


def test_line_separators_inside_a_text_do_not_cut_it(tmp_path: Path) -> None:
    rows = [row("rnn", "a", "one\u2028two\u0085three\n"), row("rnn", "b", "four")]
    lines = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    (tmp_path / "samples.jsonl").write_text(lines, encoding="utf-8")
    assert read_lines(tmp_path / "samples.jsonl") == rows
