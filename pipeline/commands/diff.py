"""Compare the models of two revisions on the same held-out characters, as in `refrain diff main`.

Without revisions, the workspace is compared with the last commit; with one, with that revision.
"""

import argparse
import json as json_format
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from pipeline import artifacts
from pipeline.evaluation.causes import causes
from pipeline.evaluation.difference import Difference
from pipeline.evaluation.differences import differences
from pipeline.evaluation.stale import stale_stages
from pipeline.reporting.changes import render_changes
from pipeline.reporting.differences import as_markdown, as_table, cause_lines, notes, stale_lines
from pipeline.reporting.page import results_id
from pipeline.revisions import WORKSPACE, Revision, models_of
from pipeline.visible import visible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``refrain diff``."""
    parser.add_argument("before", nargs="?", default="HEAD", help="a git revision (default: HEAD)")
    parser.add_argument("after", nargs="?", default=WORKSPACE, help="another (default: the workspace)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a web page, too")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--md", action="store_true", help="Markdown, for pull requests")
    form.add_argument("--json", action="store_true", help="JSON, for programs")


def main(before: str, after: str, *, html: Path | None, md: bool, json: bool) -> None:
    """Print how perplexity has changed, what the change shows, and what else differs."""
    old, new = Revision(before), Revision(after)
    found, other = differences(old, new), causes(old, new)
    title = f"perplexity, from {before} to {after}"
    stale = stale_stages() if after == WORKSPACE else []
    lines = [*notes(found), *cause_lines(other), *stale_lines(stale)]
    if html:
        write_page(html, old, new, found, lines)
    if json:
        values = {"differences": list(map(asdict, found)), "causes": other, "stale": stale}
        print(json_format.dumps(values, ensure_ascii=False, allow_nan=False))
    elif md:
        print(as_markdown(found, lines, title))
    elif old.read(artifacts.DVC_LOCK) is None:
        print(visible(f"{before} has no results to compare with: commit results first"))
    elif not other and not stale and all(difference.change == 0 for difference in found):
        print(visible(f"nothing differs between {before} and {after}"))
    else:
        console = Console(highlight=False)
        console.print(as_table(found, visible(title)))
        for line in lines:
            console.print(visible(line), markup=False)


def write_page(
    path: Path, old: Revision, new: Revision, found: Sequence[Difference], lines: Sequence[str]
) -> None:
    """Write the comparison as a page. It names the results in the workspace if it is about them."""
    results = results_id(models_of(new)) if new.name == WORKSPACE else None
    title = f"Perplexity, from {old.label} to {new.label}"
    artifacts.write_text(path, render_changes(found, lines, title, results))
