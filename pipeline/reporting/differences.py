"""The table of differences between two revisions, for terminals and for pull requests."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pipeline.evaluation.difference import Difference
from pipeline.visible import visible

SHOWN_CAUSES = 8

LEFT = ("model", "split", "verdict")
"""Columns of words."""


def notes(found: Sequence[Difference]) -> list[str]:
    """Notes on differences, each once, with the models and splits that it is about."""
    about: dict[str, list[Difference]] = {}
    for difference in found:
        remarks = [difference.note] if difference.note else []
        if left_out := difference.left_out:
            all_characters = left_out + difference.characters
            remarks.append(
                f"{left_out:,} of {all_characters:,} characters left out, <unk> to one of the models: "
                "the report's perplexities count them"
            )
        for remark in remarks:
            about.setdefault(remark, []).append(difference)
    return [f"{', '.join(_names(some, found))}: {remark}" for remark, some in about.items()]


def _names(some: Sequence[Difference], found: Sequence[Difference]) -> Iterator[str]:
    """What ``some`` of the differences ``found`` are about: the split alone if they are all of its models."""
    for split, group in groupby(some, key=lambda difference: difference.split):
        models = [difference.model for difference in group]
        if models == [difference.model for difference in found if difference.split == split]:
            yield split
        else:
            yield from (f"{model} {split}" for model in models)


def cause_lines(found: dict[str, list[str]]) -> list[str]:
    """A line for each kind of cause."""
    lines = []
    for kind, differences in found.items():
        more = len(differences) - SHOWN_CAUSES
        shown = "; ".join(differences[:SHOWN_CAUSES]) + (f"; and {more} more" if more > 0 else "")
        lines.append(f"{kind}: {shown}")
    return lines or ["nothing else differs"]


def stale_lines(stages: Sequence[str]) -> list[str]:
    """Says that figures of the workspace are old, if ``stages`` have not run since their inputs changed."""
    if not stages:
        return []
    more = f" and {len(stages) - 1} more" if len(stages) > 1 else ""
    return [f"not up to date: inputs of {stages[0]}{more} have changed since the last run: run `make repro`"]


def as_table(found: Sequence[Difference], title: str) -> Table:
    """The table for a terminal."""
    # Narrow enough for 80 columns.
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns(found):
        table.add_column(column, justify="left" if column in LEFT else "right")
    for difference in found:
        table.add_row(*(Text(visible(cell)) for cell in difference.cells().values()))
    return table


def as_markdown(found: Sequence[Difference], lines: Iterable[str], title: str) -> str:
    """The table and the lines below it for a pull request."""
    rules = ["---" if column in LEFT else "---:" for column in columns(found)]
    rows = [columns(found), rules, *(difference.cells().values() for difference in found)]
    table = "\n".join(f"| {' | '.join(visible(cell).replace('|', '¦') for cell in row)} |" for row in rows)
    listed = "\n".join(f"- {visible(line).replace('<', '&lt;')}" for line in lines)
    return f"### {visible(title)}\n\n{table}\n\n{listed}\n"


def columns(found: Sequence[Difference]) -> list[str]:
    """The heads of the table's columns."""
    return list(found[0].cells()) if found else []
