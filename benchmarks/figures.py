"""The figures of ``make bench``. Both sides take turns on the same cores, and a figure is the ratio of their
medians: single timings are noise.
"""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from benchmarks import machine, setups
from benchmarks.optimizers import FIRST_STEPS, start_ups
from benchmarks.processes import measured_by, peak_megabytes
from benchmarks.textbook import encode as encode_as_textbook
from benchmarks.textbook import generate as generate_as_textbook
from pipeline.data.encoding import Shard, write_shard
from pipeline.generation.decoding import Decoding, generate
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


def in_turns(theirs: Callable[[], float], ours: Callable[[], float]) -> tuple[float, float]:
    """Medians of two measurements that take turns, after one of each that does not count."""
    theirs(), ours()
    pairs = [(theirs(), ours()) for _ in range(ROUNDS)]
    return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)


def rate(work: Callable[[], int]) -> float:
    """The number that ``work`` returns (characters), per second."""
    start = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - start)


def training(cell: str, precision: setups.Precision, bar: float) -> Figure:
    """Training throughput: minibatches of 32, 35 steps, 256 units, 1,027 characters, Adam, clipped."""
    ids, vocab_size = setups.jaychou()
    theirs = setups.TextbookTraining(cell, ids, vocab_size)
    ours = setups.OurTraining(cell, ids, vocab_size, precision)
    slow, fast = in_turns(lambda: rate(theirs.epochs), lambda: rate(ours.epochs))
    name = f"{cell.upper()} training, {precision}"
    return Figure(name, "characters/s", slow, fast, fast / slow, bar)


def time_to_perplexity(target: float, bar: float) -> Figure:
    """Seconds until an epoch's training perplexity is at most ``target``."""
    ids, vocab_size = setups.jaychou()

    def their_seconds() -> float:
        return setups.seconds_to(setups.TextbookTraining("rnn", ids, vocab_size, clip=0.01).epoch, target)

    def our_seconds() -> float:
        return setups.seconds_to(setups.recipe_training("jaychou_fast", ids, vocab_size).epoch, target)

    pairs = [(their_seconds(), our_seconds()) for _ in range(3)]
    slow, fast = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    name = f"time to perplexity {target}, RNN of the textbook, our GRU"
    return Figure(name, "s", slow, fast, slow / fast, bar)


def generation(cell: str, streams: int, bar: float) -> Figure:
    """Greedy characters per second; the textbook's loop has one stream."""
    vocab_size, length = setups.VOCABULARY, 400
    theirs, ours = setups.same_models(cell, vocab_size)
    prefixes = [[stream % vocab_size] for stream in range(streams)]

    def their_work() -> int:
        with torch.no_grad():
            return len(generate_as_textbook(theirs, [0], length))

    def our_work() -> int:
        return sum(map(len, generate(ours, prefixes, length, Decoding(), 0)))

    slow, fast = in_turns(lambda: rate(their_work), lambda: rate(our_work))
    how_many = f"{streams} streams against one" if streams > 1 else "1 stream"
    name = f"{cell.upper()} greedy generation, {how_many}"
    return Figure(name, "characters/s", slow, fast, fast / slow, bar)


def encoding(language: str, bar: float) -> Figure:
    """Counting and encoding, to Parquet on disk; the textbook's, to a list in memory. One core each."""
    text = setups.long_text(language)
    megabytes = len(text.encode()) / 1e6
    pieces = [text[start : start + (1 << 20)] for start in range(0, len(text), 1 << 20)]

    def our_rate() -> float:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            vocab = vocab_from_counts(count_chars(pieces), unk=False, min_count=1)
            stored = VocabFile(vocab, "", (Placement("", 0, len(text), ""),))
            ids = map(vocab.encode, pieces)
            write_shard(Path(folder), Shard("train", len(text), 0, 0, len(text)), ids, stored)
            return megabytes / (time.perf_counter() - start)

    def their_rate() -> float:
        start = time.perf_counter()
        encode_as_textbook(text)
        return megabytes / (time.perf_counter() - start)

    with machine.one_core():
        slow, fast = in_turns(their_rate, our_rate)
    return Figure(f"vocabulary and encoding, {language}", "MB/s", slow, fast, fast / slow, bar)


def memory(bar: float) -> Figure:
    """Peak resident memory of a process that trains a GRU, as a fraction of the textbook's."""

    def peak(side: str) -> float:
        return float(measured_by("-m", "benchmarks.bench", "--peak-of", side))

    theirs, ours = median(peak("textbook") for _ in range(3)), median(peak("refrain") for _ in range(3))
    return Figure("peak memory of GRU training", "MB", theirs, ours, ours / theirs, bar)


def print_peak(side: str) -> None:
    """Train a little and print the peak of this process's memory."""
    ids, vocab_size = setups.jaychou()
    sides = {"textbook": setups.TextbookTraining, "refrain": setups.OurTraining}
    sides[side]("gru", ids, vocab_size).epochs()
    print(json.dumps(peak_megabytes()))


def optimizer(quantity: str, unit: str, bar: float) -> Figure:
    """Seconds or megabytes of a process that makes an optimiser and takes its first steps."""
    found = start_ups()
    theirs, ours = found["torch"][quantity], found["ours"][quantity]
    ratio = theirs / ours if unit == "s" else ours / theirs
    name = f"optimiser: torch.optim against ours, {FIRST_STEPS} steps in a new process"
    return Figure(name, unit, theirs, ours, ratio, bar)


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
    "optimizer-seconds": lambda: optimizer("seconds", "s", 1.2),
    "optimizer-memory": lambda: optimizer("megabytes", "MB", 0.9),
}
