"""Compare the models of two revisions on the same held-out characters, as in `refrain diff main`.

Without revisions, the workspace is compared with the last commit; with one, with that revision.
"""

import argparse
import json as json_format
from dataclasses import asdict

from rich.console import Console

from pipeline.evaluation.causes import causes
from pipeline.evaluation.differences import differences
from pipeline.reporting.differences import as_markdown, as_table, cause_lines, notes
from pipeline.revisions import WORKSPACE, Revision
from pipeline.visible import visible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``refrain diff``."""
    parser.add_argument("before", nargs="?", default="HEAD", help="a git revision (default: HEAD)")
    parser.add_argument("after", nargs="?", default=WORKSPACE, help="another (default: the workspace)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--md", action="store_true", help="Markdown, for pull requests")
    form.add_argument("--json", action="store_true", help="JSON, for programs")


def main(before: str, after: str, *, md: bool, json: bool) -> None:
    """Print how perplexity has changed, what the change shows, and what else differs."""
    old, new = Revision(before), Revision(after)
    found, other = differences(old, new), causes(old, new)
    title = f"perplexity, from {before} to {after}"
    lines = [*notes(found), *cause_lines(other)]
    if json:
        values = {"differences": list(map(asdict, found)), "causes": other}
        print(json_format.dumps(values, ensure_ascii=False, allow_nan=False))
    elif md:
        print(as_markdown(found, lines, title))
    else:
        console = Console(highlight=False)
        console.print(as_table(found, visible(title)))
        for line in lines:
            console.print(visible(line), soft_wrap=True, markup=False)
