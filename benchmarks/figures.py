"""The figures of ``make bench``. Both sides take turns on the same cores, each in a process of its own, and a
figure is the ratio of their medians: single timings are noise.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from benchmarks import machine, setups, textbook_side
from benchmarks.optimizers import FIRST_STEPS, start_ups
from benchmarks.processes import measured_by, peak_megabytes
from benchmarks.textbook_side import TextbookSide
from pipeline import device
from pipeline.data.encoding import Shard, ShardsWriter
from pipeline.generation.decoding import Decoding, generate
from pipeline.text.splits import Splits
from pipeline.text.vocab import Placement, VocabFile, count_chars, vocab_from_counts

ROUNDS = 9


@dataclass(frozen=True)
class Figure:
    """One line of the table. ``ratio`` is how many times as good Refrain is; of memory, its fraction."""

    name: str
    unit: str
    textbook: float
    refrain: float
    ratio: float
    bar: float


def set_up_ours(precision: setups.Precision) -> None:
    """Set up this process as stages do."""
    device.set_up(torch.device("cpu"), len(os.sched_getaffinity(0)), precision, setups.HIDDEN)


def in_turns(theirs: Callable[[], float], ours: Callable[[], float]) -> tuple[float, float]:
    """Medians of two measurements that take turns, after one of each that does not count."""
    theirs(), ours()
    pairs = [(theirs(), ours()) for _ in range(ROUNDS)]
    return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)


def training(theirs: TextbookSide, cell: str, precision: setups.Precision, bar: float) -> Figure:
    """Training throughput: minibatches of 32, 35 steps, 256 units, 1,027 characters, Adam, clipped."""
    set_up_ours(precision)
    ours = setups.OurTraining(cell, *setups.jaychou(), precision)
    slow, fast = in_turns(
        lambda: theirs.call(textbook_side.training_rate, cell), lambda: setups.rate(ours.epochs)
    )
    name = f"{cell.upper()} training, {precision}"
    return Figure(name, "characters/s", slow, fast, fast / slow, bar)


def time_to_perplexity(theirs: TextbookSide, target: float, bar: float) -> Figure:
    """Seconds until an epoch's training perplexity is at most ``target``."""
    set_up_ours("medium")  # as the recipe has it

    def our_seconds() -> float:
        return setups.seconds_to(setups.recipe_training("jaychou_fast", *setups.jaychou()).epoch, target)

    pairs = [(theirs.call(textbook_side.seconds_to_perplexity, target), our_seconds()) for _ in range(3)]
    slow, fast = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    name = f"time to perplexity {target}, RNN of the textbook, our GRU"
    return Figure(name, "s", slow, fast, slow / fast, bar)


def generation(theirs: TextbookSide, cell: str, streams: int, bar: float) -> Figure:
    """Greedy characters per second; the textbook's loop has one stream."""
    set_up_ours("highest")
    _, model = setups.same_models(cell, setups.VOCABULARY)
    prefixes = [[stream % setups.VOCABULARY] for stream in range(streams)]

    def our_work() -> int:
        return sum(map(len, generate(model, prefixes, setups.LENGTH, Decoding(), 0)))

    slow, fast = in_turns(
        lambda: theirs.call(textbook_side.generation_rate, cell), lambda: setups.rate(our_work)
    )
    how_many = f"{streams} streams against one" if streams > 1 else "1 stream"
    name = f"{cell.upper()} greedy generation, {how_many}"
    return Figure(name, "characters/s", slow, fast, fast / slow, bar)


def encoding(theirs: TextbookSide, language: str, bar: float) -> Figure:
    """Counting and encoding, to Parquet on disk; the textbook's, to a list in memory. One core each."""
    text = setups.long_text(language)
    megabytes = len(text.encode()) / 1e6
    pieces = [text[start : start + (1 << 20)] for start in range(0, len(text), 1 << 20)]

    def our_rate() -> float:
        with tempfile.TemporaryDirectory() as folder, machine.one_core():
            start = time.perf_counter()
            vocab = vocab_from_counts(count_chars(pieces), unk=False, min_count=1)
            splits = Splits(("train",), (len(text),), {})
            stored = VocabFile(vocab, "", (Placement("", 0, len(text), ""),), splits)
            shard = Shard("train", len(text), 0, 0, len(text))
            with ShardsWriter(Path(folder), "train", [shard], stored) as writer:
                for piece in pieces:
                    writer.write(piece)
            return megabytes / (time.perf_counter() - start)

    slow, fast = in_turns(lambda: theirs.call(textbook_side.encoding_rate, language), our_rate)
    return Figure(f"vocabulary and encoding, {language}", "MB/s", slow, fast, fast / slow, bar)


def memory(_: TextbookSide, bar: float) -> Figure:
    """Peak resident memory of a process that trains a GRU, as a fraction of the textbook's."""

    def peak(side: str) -> float:
        return float(measured_by("-m", "benchmarks.bench", "--peak-of", side))

    theirs, ours = median(peak("textbook") for _ in range(3)), median(peak("refrain") for _ in range(3))
    return Figure("peak memory of GRU training", "MB", theirs, ours, ours / theirs, bar)


def print_peak(side: str) -> None:
    """Train a little and print the peak of this process's memory."""
    if side == "textbook":
        setups.TextbookTraining("gru", *setups.jaychou()).epochs()
    else:
        set_up_ours("highest")
        setups.OurTraining("gru", *setups.jaychou()).epochs()
    print(json.dumps(peak_megabytes()))


def optimizer(_: TextbookSide, quantity: str, unit: str, bar: float) -> Figure:
    """Seconds or megabytes of a process that makes an optimiser and takes its first steps."""
    found = start_ups()
    theirs, ours = found["torch"][quantity], found["ours"][quantity]
    ratio = theirs / ours if unit == "s" else ours / theirs
    name = f"optimiser: torch.optim against ours, {FIRST_STEPS} steps in a new process"
    return Figure(name, unit, theirs, ours, ratio, bar)


FIGURES: dict[str, Callable[[TextbookSide], Figure]] = {
    "train-rnn": lambda theirs: training(theirs, "rnn", "medium", 2.0),
    "train-gru": lambda theirs: training(theirs, "gru", "medium", 2.7),
    "train-lstm": lambda theirs: training(theirs, "lstm", "medium", 2.0),
    "train-rnn-highest": lambda theirs: training(theirs, "rnn", "highest", 1.5),
    "train-gru-highest": lambda theirs: training(theirs, "gru", "highest", 1.8),
    "train-lstm-highest": lambda theirs: training(theirs, "lstm", "highest", 1.8),
    "time-to-perplexity": lambda theirs: time_to_perplexity(theirs, 1.0212, 8.0),
    "generate-rnn": lambda theirs: generation(theirs, "rnn", 1, 2.5),
    "generate-gru": lambda theirs: generation(theirs, "gru", 1, 2.5),
    "generate-rnn-256": lambda theirs: generation(theirs, "rnn", 256, 12.0),
    "encode-english": lambda theirs: encoding(theirs, "English", 3.0),
    "encode-chinese": lambda theirs: encoding(theirs, "Chinese", 3.0),
    "memory": lambda theirs: memory(theirs, 0.9),
    "optimizer-seconds": lambda theirs: optimizer(theirs, "seconds", "s", 1.2),
    "optimizer-memory": lambda theirs: optimizer(theirs, "megabytes", "MB", 0.9),
}
