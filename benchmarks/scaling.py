"""How far texts and trainings scale: measured on this machine, and calculated for more processes.

``make bench-scaling`` takes some minutes and writes ``scaling.json``; docs/scaling.md explains its figures.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.large_text import read_texts, train_on
from benchmarks.processes import measured_by
from benchmarks.setups import FOLDER
from benchmarks.several_ranks import train_with_ranks
from benchmarks.simulation import NETWORKS, efficiency_table, loopback, simulate
from pipeline.artifacts import write_json
from pipeline.program import run_program

RANKS_AND_THREADS = ((1, 1), (1, 2), (2, 1))


def measure_text(gigabytes: float) -> dict[str, Any]:
    """Read a large text by one process and by two, and train on it."""
    with tempfile.TemporaryDirectory() as folder:
        text = read_texts(gigabytes, Path(folder))
        training = measured_by("-m", "benchmarks.scaling", "--train-on", folder)
        print(json.dumps(training), flush=True)
    return {"text": text, "training": training}


def measure_ranks() -> dict[str, Any]:
    """Train with one process and with two."""
    measured = {}
    for ranks, threads in RANKS_AND_THREADS:
        launch = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}")
        program = ("-m", "benchmarks.scaling", "--ranks-of", str(threads))
        name = f"{ranks} ranks of {threads} threads"
        measured[name] = measured_by(*launch, *program)
        print(f"{name}: {json.dumps(measured[name])}", flush=True)
    return measured


def main(gigabytes: float, train_on_folder: Path | None, ranks_of_threads: int | None) -> None:
    """Measure, simulate, print and write."""
    if train_on_folder:
        train_on(train_on_folder)
        return
    if ranks_of_threads:
        train_with_ranks(ranks_of_threads)
        return
    content, measured = measure_text(gigabytes), measure_ranks()
    networks = (loopback(measured["2 ranks of 1 threads"]), *NETWORKS)
    rows = simulate(measured["1 ranks of 1 threads"]["characters_per_second"], networks)
    print(efficiency_table(rows))
    described = {"machine": asdict(machine.describe())}
    write_json(FOLDER / "scaling.json", {**described, **content, "ranks": measured, "simulated": rows})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4.0, help="size of the text (4)")
    parser.add_argument("--train-on", dest="train_on_folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ranks-of", dest="ranks_of_threads", type=int, help=argparse.SUPPRESS)
    run_program(main, parser)
