"""The list of experiments for a terminal."""

from collections.abc import Sequence
from itertools import chain

from rich.text import Text

from pipeline.evaluation.runs import Run
from pipeline.params.corpus import HELD_OUT
from pipeline.reporting.differences import SHOWN_CAUSES
from pipeline.reporting.tables import perplexity_and_interval
from pipeline.visible import visible

KINDS_OF_CHANGES = ("code", "text", "versions")
"""Those that are named beside the parameters. ``refrain diff`` says more."""


def run_lines(found: Sequence[Run]) -> list[Text]:
    """A heading for each run, and below it the perplexities of each model, in columns."""
    tables = [_rows(run) for run in found]
    head = ["", *HELD_OUT]
    widths = [max(map(len, column)) for column in zip(head, *chain(*tables), strict=True)]
    lines = [Text(_line(head, widths))]
    for run, rows in zip(found, tables, strict=True):
        lines.append(Text.assemble((visible(run.name), "bold"), visible(about(run))))
        lines += (Text(_line(cells, widths)) for cells in rows)
    return lines


def about(run: Run) -> str:
    """What the heading says after the name: what has become of an experiment, and what it has changed."""
    if run.kind == "commit":
        return f", {run.commit[:7]}" if run.name != run.commit[:7] else ""
    state = f", {run.kind}" if run.kind in ("running", "queued", "failed") else ""
    changes = [*run.changed.get("parameters", []), *(k for k in KINDS_OF_CHANGES if k in run.changed)]
    more = len(changes) - SHOWN_CAUSES
    shown = "; ".join(changes[:SHOWN_CAUSES]) + (f"; and {more} more" if more > 0 else "")
    return f"{state} ({shown or 'nothing changed'})"


def _rows(run: Run) -> list[list[str]]:
    return [
        [
            f"  {visible(model)}",
            *(perplexity_and_interval(s[split]) if split in s else "" for split in HELD_OUT),
        ]
        for model, s in run.figures.items()
    ]


def _line(cells: list[str], widths: list[int]) -> str:
    (first, *others), (width, *other_widths) = cells, widths
    columns = [first.ljust(width), *map(str.rjust, others, other_widths)]
    return "  ".join(columns).rstrip()
