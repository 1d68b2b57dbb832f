"""What people read of a comparison."""

import re

import pytest
from rich.console import Console

from pipeline.evaluation.difference import Difference
from pipeline.reporting.changes import render_changes
from pipeline.reporting.differences import as_table, cause_lines, notes, stale_lines


def difference(model: str, split: str, note: str = "", left_out: int = 0) -> Difference:
    figures = {"before": 171.9, "after": 180.0, "change": 0.047, "low": 0.01, "high": 0.09}
    characters = {"characters": 1000 - left_out, "left_out": left_out}
    return Difference(model, split, "compared", "worse", note, **figures, **characters)


def test_a_note_about_all_models_of_a_split_names_only_the_split() -> None:
    found = [difference(model, split) for split in ("valid", "test") for model in ("rnn", "gru")]
    assert notes(found) == []
    found[0] = difference("rnn", "valid", left_out=74)
    found[1] = difference("gru", "valid", left_out=74)
    found[2] = difference("rnn", "test", "lost", left_out=74)
    rows = "74 of 1,000 characters left out, <unk> to one of the models: the report's perplexities count them"
    assert notes(found) == [f"valid, rnn test: {rows}", "rnn test: lost"]


def test_old_figures_are_called_so() -> None:
    assert stale_lines([]) == []
    rest = "have changed since the last run: run `make repro`"
    assert stale_lines(["train@gru"]) == [f"not up to date: inputs of train@gru {rest}"]
    assert stale_lines(["code", "train@gru"]) == [f"not up to date: inputs of code and 1 more {rest}"]


def test_the_table_fits_into_80_columns() -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(as_table([difference("rnn", "valid"), difference("gru", "test")], "title"))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("+1.0% to +9.0%  worse" in line for line in lines) == 2, "no cell is cut"


def test_nothing_else_is_one_line() -> None:
    assert cause_lines({}) == ["nothing else differs"]


@pytest.mark.parametrize("results", ["results-1", None])
def test_a_page_escapes_everything_and_needs_no_network(results: str | None) -> None:
    hostile = "<script>alert(1)</script>\x1b\u202e"
    found = [difference(hostile, hostile), Difference("new", "test", "new", note="a new model")]
    page = render_changes(found, [hostile], hostile, results)
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert not re.search(r"https?://|src=|<link", page)
    assert page.count('<td class="worse">worse</td>') == 1
    assert "<td>not compared</td>" in page
    assert ('<i id="results-1" hidden></i>' in page) == (results is not None)
    assert ("have changed since this comparison" in page) == (results is not None)
