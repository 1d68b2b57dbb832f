"""Measure Refrain and the textbook's code in one run, and write results.json and README.md.

``make bench``, or ``python -m benchmarks.bench NAME...`` for some of the figures, which are only printed.
"""

import argparse
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine, setups
from benchmarks.figures import FIGURES, Figure, print_peak, set_up_ours
from benchmarks.processes import measured_by
from benchmarks.textbook_side import TextbookSide
from pipeline.artifacts import write_json, write_text
from pipeline.errors import RefrainError
from pipeline.program import run_program


def figures_table(figures: list[Figure]) -> str:
    """The figures as Markdown."""
    lines = ["| figure | textbook | Refrain | ratio | bar |", "|---|---:|---:|---:|---:|"]
    for figure in figures:
        values = " | ".join(f"{value:,.4g} {figure.unit}" for value in (figure.textbook, figure.refrain))
        lines.append(f"| {figure.name} | {values} | {figure.ratio:.2f} | {figure.bar:.1f} |")
    return "\n".join(lines)


def recipes_table(path: Path) -> str:
    """The figures that ``make bench-recipes`` last wrote, as Markdown."""
    if not path.exists():
        return "Not run yet."
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| recipe | held-out nats per character | bar | seconds | bar |", "|---|---:|---:|---:|---:|"]
    for row in content["recipes"]:
        link = f"[{row['recipe']}](../replications/recipes/{row['recipe']}.yaml)"
        nats, seconds = (
            f"{row['nats']:.3f} | {row['bar_nats']:.2f}",
            f"{row['seconds']:.0f} | {row['bar_seconds']}",
        )
        lines.append(f"| {link} | {nats} | {seconds} |")
    return "\n".join(lines)


def write_results(figures: list[Figure]) -> None:
    """Write ``results.json`` and the README from its template."""
    described = machine.describe()
    ceilings = setups.ceilings(described.gflops)
    results = {
        "machine": asdict(described),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "figures": [asdict(figure) for figure in figures],
        "ceilings": ceilings,
    }
    write_json(setups.FOLDER / "results.json", results)
    template = (setups.FOLDER / "README.template.md").read_text(encoding="utf-8")
    page = template.format(
        table=figures_table(figures),
        recipes=recipes_table(setups.FOLDER / "recipes.json"),
        machine=described,
        python=platform.python_version(),
        torch=torch.__version__,
        ceilings="\n".join(f"| {name} | {value:,.0f} |" for name, value in ceilings.items()),
    )
    write_text(setups.FOLDER / "README.md", page)


def main(names: list[str], measure: str | None, peak_of: str | None) -> None:
    """Measure and print; write if everything was measured."""
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise RefrainError(f"there is no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    if peak_of:
        print_peak(peak_of)
        return
    if measure:
        with TextbookSide() as theirs:
            print(json.dumps(asdict(FIGURES[measure](theirs))))
        return
    figures = []
    for name in names or FIGURES:
        # In a process of its own, because precisions differ in settings that last as long as a process.
        figures.append(Figure(**measured_by("-m", "benchmarks.bench", "--measure", name)))
        print(figures_table(figures[-1:]).splitlines()[-1], flush=True)
    if not names:
        set_up_ours("highest")
        write_results(figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(FIGURES)} (all)")
    parser.add_argument("--measure", choices=FIGURES, help=argparse.SUPPRESS)
    parser.add_argument("--peak-of", choices=["textbook", "refrain"], help=argparse.SUPPRESS)
    run_program(main, parser)
