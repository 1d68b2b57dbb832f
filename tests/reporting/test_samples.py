import json
from pathlib import Path

import pytest

from pipeline.commands.show import sample_lines
from pipeline.reporting.page import Sample, samples_side_by_side
from pipeline.reporting.samples import about_recitation, decoding_name, in_words, samples_markdown
from pipeline.reporting.tables import read_lines, recited_by_decoding


def row(model: str, prefix: str, text: str, **decoding: float | None) -> dict[str, object]:
    settings = {"temperature": 0.0, "top_k": None, "top_p": None, **decoding}
    recited = {"longest": len(text), "share": 0.125}
    return {"model": model, "prefix": prefix, "text": text, **settings, "seed": 1, "recited": recited}


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
    text = samples_markdown([row("rnn", "a*", "b_c_\n<i># |")], None)
    assert text.endswith("\n\n- <b>a\\*</b>b\\_c\\_ / \\<i\\>\\# \\|\n")


def test_markdown_says_how_much_is_recited() -> None:
    rows = [row("rnn", "a", "bcd"), row("rnn", "b", "cd"), row("gru", "a", "b")]
    lines = samples_markdown(rows, {"longest": 6.25, "share": None}).splitlines()
    assert lines[2].endswith("Held-out passages of the same length, on average: longest run 6.2.")
    assert lines[4:11] == [
        "## rnn, greedy",
        "",
        "Recited on average: longest run 2.5, share 12.5%.",
        "",
        "- <b>a</b>bcd",
        "- <b>b</b>cd",
        "",
    ]
    assert "Recited on average: longest run 1, share 12.5%." in lines[11:]


def test_recitation_in_words() -> None:
    assert in_words({"longest": 1234.0, "share": 1.0}) == "longest run 1,234, share 100.0%"
    assert in_words({"longest": 7, "share": None}) == "longest run 7"
    assert "Held-out" not in about_recitation(None)


def test_recitation_is_averaged_by_decoding() -> None:
    rows = [row("rnn", "a", "bcd"), row("rnn", "a", "bcde", temperature=0.8), row("rnn", "b", "c")]
    assert recited_by_decoding(rows) == {
        "greedy": {"longest": 2, "share": 0.125},
        "temperature 0.8": {"longest": 4, "share": 0.125},
    }


def test_side_by_side_also_where_two_samples_are_asked_for_alike() -> None:
    rows = [row(model, "a", f"{model}{i}") for model in ("rnn", "gru") for i in range(2)]
    assert samples_side_by_side(rows) == [
        (
            "a",
            "greedy",
            {model: Sample(f"{model}{i}", "longest run 4, share 12.5%") for model in ("rnn", "gru")},
        )
        for i in range(2)
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
