"""The table of differences between two revisions: for terminals, for pull requests, for programs."""

from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

from pipeline.evaluation.differences import Difference
from pipeline.reporting.tables import format_perplexity
from pipeline.visible import visible

COLUMNS = ("model", "split", "before", "after", "change", "95% interval", "verdict")

SHOWN_CAUSES = 8


def cells(difference: Difference) -> tuple[str, ...]:
    """The row of a difference, as text."""
    change = difference.change
    if change is None:
        return (difference.model, difference.split, "", "", "", "", difference.verdict)
    has_ends = change.low is not None and change.high is not None
    return (
        difference.model,
        difference.split,
        format_perplexity(change.before),
        format_perplexity(change.after),
        f"{change.change:+.1%}",
        f"{change.low:+.1%} to {change.high:+.1%}" if has_ends else "",
        difference.verdict,
    )


def notes(found: Iterable[Difference]) -> list[str]:
    """Notes on differences, each once, with the models and splits that it is about."""
    about: dict[str, list[str]] = {}
    for difference in found:
        remarks = [difference.note] if difference.note else []
        if difference.change and difference.change.left_out:
            left_out, characters = difference.change.left_out, difference.change.characters
            remarks.append(
                f"{left_out:,} of {left_out + characters:,} characters left out: <unk> to one of the models"
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


def as_table(found: Iterable[Difference], title: str) -> Table:
    """The table for a terminal."""
    table = Table(*COLUMNS[:2], title=title, title_justify="left")
    for column in COLUMNS[2:6]:
        table.add_column(column, justify="right")
    table.add_column(COLUMNS[6])
    for difference in found:
        table.add_row(*(Text(visible(cell)) for cell in cells(difference)))
    return table


def as_markdown(found: Iterable[Difference], lines: Iterable[str], title: str) -> str:
    """The table and the lines below it for a pull request."""
    rows = [COLUMNS, ("---", "---", "---:", "---:", "---:", "---:", "---"), *map(cells, found)]
    table = "\n".join(f"| {' | '.join(visible(cell).replace('|', '¦') for cell in row)} |" for row in rows)
    listed = "\n".join(f"- {visible(line).replace('<', '&lt;')}" for line in lines)
    return f"### {visible(title)}\n\n{table}\n\n{listed}\n"


def as_json(found: Iterable[Difference], other: dict[str, list[str]]) -> dict[str, Any]:
    """The same for programs. ``change``, ``low`` and ``high`` are relative: 0.01 is one per cent worse."""
    rows = []
    for difference in found:
        change = difference.change
        row: dict[str, Any] = {"model": difference.model, "split": difference.split}
        row |= {"status": difference.status, "verdict": difference.verdict, "note": difference.note}
        if change:
            row |= vars(change)
        rows.append(row)
    return {"differences": rows, "causes": other}
