"""Measure Refrain and the textbook's code in one run, and write results.json and README.md.

``make bench``, or ``python -m benchmarks.bench NAME...`` for some of the figures. Both sides take turns on
the same cores, and a figure is the ratio of their medians: single timings are noise.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks import machine, setups, textbook
from pipeline import device
from pipeline.artifacts import write_bytes
from pipeline.generation.decoding import Decoding, generate
from pipeline.data.encoding import Shard, write_shard
from pipeline.text.vocab import Placement, VocabFile, build_vocab, count_chars

ROUNDS = 9


@dataclass(frozen=True)
class Figure:
    """One line of the table. ``ratio``: how many times better than the textbook; of memory, the fraction."""

    name: str
    unit: str
    textbook: float
    refrain: float
    ratio: float
    bar: float


def in_turns(
    theirs: Callable[[], float], ours: Callable[[], float], rounds: int = ROUNDS
) -> tuple[float, float]:
    """Medians of two measurements that take turns, after one of each that does not count."""
    theirs(), ours()
    pairs = [(theirs(), ours()) for _ in range(rounds)]
    return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)


def rate(run: Callable[[], int]) -> float:
    """What ``run`` returns (characters), a second."""
    start = time.perf_counter()
    done = run()
    return done / (time.perf_counter() - start)


def training(cell: str, precision: str, bar: float) -> Figure:
    """Training throughput: batch 32, 35 steps, 256 units, 1,027 characters, Adam, clipped."""
    ids, vocab_size = setups.jaychou()
    theirs = setups.TextbookTraining(cell, ids, vocab_size)
    ours = setups.OurTraining(cell, ids, vocab_size, precision)
    theirs_rate, ours_rate = in_turns(lambda: rate(theirs.epochs), lambda: rate(ours.epochs))
    name = f"{cell.upper()} training, {precision}"
    return Figure(name, "characters/s", theirs_rate, ours_rate, ours_rate / theirs_rate, bar)


def time_to_perplexity(target: float, bar: float) -> Figure:
    """Seconds until an epoch's training perplexity is at most ``target``."""
    ids, vocab_size = setups.jaychou()

    def theirs() -> float:
        return setups.seconds_to(setups.TextbookTraining("rnn", ids, vocab_size, clip=0.01).epoch, target)

    def ours() -> float:
        return setups.seconds_to(setups.recipe("jaychou_fast", ids, vocab_size).epoch, target)

    pairs = [(theirs(), ours()) for _ in range(3)]
    slow, fast = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    return Figure(
        f"time to perplexity {target}, RNN of the textbook, our GRU", "s", slow, fast, slow / fast, bar
    )


def generation(cell: str, streams: int, bar: float) -> Figure:
    """Greedy characters a second; the textbook's loop has one stream."""
    vocab_size, length = 1027, 400
    theirs, ours = setups.same_models(cell, vocab_size)
    prefixes = [[stream % vocab_size] for stream in range(streams)]

    def their_run() -> int:
        with torch.no_grad():
            return len(textbook.generate(theirs, [0], length))

    def our_run() -> int:
        return sum(map(len, generate(ours, prefixes, length, Decoding(), 0)))

    theirs_rate, ours_rate = in_turns(lambda: rate(their_run), lambda: rate(our_run))
    name = (
        f"{cell.upper()} greedy generation, {f'{streams} streams against one' if streams > 1 else '1 stream'}"
    )
    return Figure(name, "characters/s", theirs_rate, ours_rate, ours_rate / theirs_rate, bar)


def encoding(language: str, bar: float) -> Figure:
    """Counting and encoding, to Parquet on disk; the textbook's, to a list in memory. One core each."""
    text = setups.long_text(language)
    megabytes = len(text.encode()) / 1e6
    chunks = [text[start : start + (1 << 20)] for start in range(0, len(text), 1 << 20)]

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            vocab = build_vocab(count_chars(chunks), unk=False, min_count=1)
            stored = VocabFile(vocab, "", (Placement("", 0, len(text), ""),))
            ids = map(vocab.encode, chunks)
            write_shard(Path(folder), Shard("train", len(text), 0, 0, len(text)), ids, stored)
            return megabytes / (time.perf_counter() - start)

    def theirs() -> float:
        start = time.perf_counter()
        textbook.encode(text)
        return megabytes / (time.perf_counter() - start)

    with machine.one_core():
        slow, fast = in_turns(theirs, ours)
    return Figure(f"vocabulary and encoding, {language}", "MB/s", slow, fast, fast / slow, bar)


def memory(bar: float) -> Figure:
    """Peak resident memory of a process that trains a GRU, as a fraction of the textbook's."""

    def peak(which: str) -> float:
        command = [sys.executable, "-m", "benchmarks.bench", "--peak", which]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    theirs, ours = median(peak("textbook") for _ in range(3)), median(peak("refrain") for _ in range(3))
    return Figure("peak memory of GRU training", "MB", theirs, ours, ours / theirs, bar)


def print_peak(which: str) -> None:
    """Train a little and print the peak of this process's memory."""
    ids, vocab_size = setups.jaychou()
    made = setups.TextbookTraining if which == "textbook" else setups.OurTraining
    made("gru", ids, vocab_size).epochs()
    # Not getrusage: its peak counts the parent's memory at the time of the fork.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1000)


FIGURES: dict[str, Callable[[], Figure]] = {
    "train-rnn": lambda: training("rnn", "medium", 2.0),
    "train-gru": lambda: training("gru", "medium", 2.7),
    "train-lstm": lambda: training("lstm", "medium", 2.0),
    "train-rnn-highest": lambda: training("rnn", "highest", 1.4),
    "train-gru-highest": lambda: training("gru", "highest", 1.8),
    "time-to-perplexity": lambda: time_to_perplexity(1.0212, 8.0),
    "generate-rnn": lambda: generation("rnn", 1, 2.5),
    "generate-gru": lambda: generation("gru", 1, 2.5),
    "generate-rnn-256": lambda: generation("rnn", 256, 12.0),
    "encode-english": lambda: encoding("English", 3.0),
    "encode-chinese": lambda: encoding("Chinese", 3.0),
    "memory": lambda: memory(0.9),
}


def table(figures: list[Figure]) -> str:
    """The figures as Markdown."""
    lines = ["| figure | textbook | Refrain | ratio | bar |", "|---|---:|---:|---:|---:|"]
    for figure in figures:
        values = " | ".join(f"{value:,.4g} {figure.unit}" for value in (figure.textbook, figure.refrain))
        lines.append(f"| {figure.name} | {values} | {figure.ratio:.2f} | {figure.bar:.1f} |")
    return "\n".join(lines)


def recipes_table(path: Path) -> str:
    """What ``make bench-recipes`` last wrote, as Markdown."""
    if not path.exists():
        return "Not run yet."
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| recipe | held-out nats a character | bar | seconds | bar |", "|---|---:|---:|---:|---:|"]
    for row in content["recipes"]:
        link = f"[{row['recipe']}](../replications/recipes/{row['recipe']}.yaml)"
        nats, seconds = (
            f"{row['nats']:.3f} | {row['bar_nats']:.2f}",
            f"{row['seconds']:.0f} | {row['bar_seconds']}",
        )
        lines.append(f"| {link} | {nats} | {seconds} |")
    return "\n".join(lines)


def write(figures: list[Figure]) -> None:
    """Write ``results.json`` and the README from its template."""
    described = machine.describe()
    ceilings = setups.ceilings(described.gflops)
    results = {
        "machine": asdict(described),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "figures": [asdict(figure) for figure in figures],
        "ceilings": ceilings,
    }
    content = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
    write_bytes(setups.FOLDER / "results.json", content.encode())
    template = (setups.FOLDER / "README.template.md").read_text(encoding="utf-8")
    page = template.format(
        table=table(figures),
        recipes=recipes_table(setups.FOLDER / "recipes.json"),
        machine=described,
        python=platform.python_version(),
        torch=torch.__version__,
        ceilings="\n".join(f"| {name} | {value:,.0f} |" for name, value in ceilings.items()),
    )
    write_bytes(setups.FOLDER / "README.md", page.encode())


def main() -> None:
    """Measure, print, and write when all was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(FIGURES)} (all)")
    parser.add_argument("--peak", choices=["textbook", "refrain"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    device.set_up(torch.device("cpu"), len(cores), "highest", setups.HIDDEN)
    if arguments.peak:
        print_peak(arguments.peak)
        return
    unknown = set(arguments.names) - set(FIGURES)
    if unknown:
        parser.error(f"no figure {', '.join(sorted(unknown))}: there are {', '.join(FIGURES)}")
    figures = []
    for name in arguments.names or FIGURES:
        figures.append(FIGURES[name]())
        print(table(figures[-1:]).splitlines()[-1], flush=True)
    if not arguments.names:
        write(figures)


if __name__ == "__main__":
    main()
