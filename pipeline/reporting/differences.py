"""The table of differences between two revisions, for terminals and for pull requests."""

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pipeline.evaluation.difference import Difference
from pipeline.visible import visible

SHOWN_CAUSES = 8

LEFT = ("model", "split", "verdict")
"""Columns of words."""


def notes(found: Iterable[Difference]) -> list[str]:
    """Notes on differences, each once, with the models and splits that it is about."""
    about: dict[str, list[str]] = {}
    for difference in found:
        remarks = [difference.note] if difference.note else []
        if left_out := difference.left_out:
            all_characters = left_out + difference.characters
            remarks.append(
                f"{left_out:,} of {all_characters:,} characters left out: <unk> to one of the models"
            )
        for remark in remarks:
            about.setdefault(remark, []).append(f"{difference.model} {difference.split}")
    return [f"{', '.join(names)}: {remark}" for remark, names in about.items()]


def cause_lines(found: dict[str, list[str]]) -> list[str]:
    """A line for each kind of cause."""
    lines = []
    for kind, differences in found.items():
        more = len(differences) - SHOWN_CAUSES
        shown = "; ".join(differences[:SHOWN_CAUSES]) + (f"; and {more} more" if more > 0 else "")
        lines.append(f"{kind}: {shown}")
    return lines or ["nothing else differs"]


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
