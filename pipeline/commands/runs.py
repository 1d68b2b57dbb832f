"""List the experiments that `dvc exp run` has made, the commits that they come from, and the workspace."""

import argparse
import json as json_format
from dataclasses import asdict

from rich.console import Console

from pipeline.evaluation.runs import list_runs
from pipeline.evaluation.stale import stale_stages
from pipeline.reporting.differences import stale_lines
from pipeline.reporting.runs import run_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``refrain runs``."""
    parser.add_argument("--json", action="store_true", help="JSON, for programs")


def main(*, json: bool) -> None:
    """Print what each experiment has changed, and the perplexity of its models."""
    found = list_runs()
    if json:
        print(json_format.dumps(list(map(asdict, found)), ensure_ascii=False, allow_nan=False))
        return
    console = Console(highlight=False)
    console.print("perplexity with 95% intervals, and what differs from the commit\n")
    for line in run_lines(found):
        console.print(line, soft_wrap=True)
    for note in stale_lines(stale_stages()):
        console.print(f"workspace {note}", markup=False, soft_wrap=True)
    if all(run.kind in ("workspace", "commit") for run in found):
        print("no experiments: `dvc exp run --temp -S models.gru.hidden_size=256` makes one")
