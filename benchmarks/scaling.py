"""How far texts and trainings scale: measured on this machine, and on paper for more processes.

``make bench-scaling`` takes some minutes and writes ``scaling.json``; docs/scaling.md explains its figures.
"""

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import torch
from ruamel.yaml import YAML

from benchmarks import machine
from benchmarks.setups import FOLDER
from pipeline import device
from pipeline.artifacts import ENCODED, VOCAB, write_json
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.params import Params, load_params
from pipeline.data.batches import Text
from pipeline.data.encoded import EncodedText
from pipeline.text.vocab import read_vocab
from pipeline.training.ranks import ALONE, Ranks, join
from pipeline.training.trainer import Hooks, Trainer

STEPS = 200
RANK_STEPS = 60
LETTERS = np.frombuffer(b"  eeettaaooiinnsshhrrddlluuccmmwwffggyyppbbvvkkjxqzETAOINSH.,;'!?\n", np.uint8)
RANKS = (1, 2, 8, 16, 32, 64, 128, 256, 512, 1024)
HIDDEN, VOCABULARY, BATCH, LARGER, NUM_STEPS = 256, 1027, 32, 128, 35
LOOK_SECONDS = 0.1
GPU_CORES = 20
COMPUTERS = {"core": 1, "GPU": GPU_CORES}


class _EnoughError(Exception):
    """So many steps are done."""


@dataclass(frozen=True)
class Network:
    """``bandwidth`` in bytes and ``latency`` in seconds, from one rank to its neighbour."""

    name: str
    bandwidth: float
    latency: float


BUS = Network("inside a machine", 12.5e9, 10e-6)
NETWORKS = (Network("10 Gbit/s", 1.25e9, 50e-6), Network("100 Gbit/s", 12.5e9, 10e-6))


def write_text(path: Path, gigabytes: float) -> None:
    """A text of so many bytes, made of letters as frequent as in English; the same in every run."""
    random = np.random.default_rng(1)
    with path.open("wb") as file:
        for _ in range(round(gigabytes * 100)):
            file.write(LETTERS[random.integers(len(LETTERS), size=10_000_000)].tobytes())


def run_stage(stage: str, folder: Path) -> dict[str, float]:
    """Seconds of a stage, and memory: of its largest process what is resident, and of all processes together,
    where what they share counts once.
    """
    started = time.perf_counter()
    process = psutil.Popen(
        [sys.executable, "-m", f"pipeline.stages.{stage}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        stderr=subprocess.DEVNULL,
    )
    largest = together = 0
    while process.poll() is None:
        memory = []
        for part in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                memory.append(part.memory_full_info())
        largest = max(largest, *(part.rss for part in memory), 0)
        together = max(together, sum(part.pss for part in memory))
        time.sleep(LOOK_SECONDS)
    if process.returncode:
        sys.exit(f"error: {stage} ended with status {process.returncode}")
    return {
        "seconds": time.perf_counter() - started,
        "largest_process_megabytes": largest / 2**20,
        "together_megabytes": together / 2**20,
    }


def write_params(folder: Path, text: Path, workers: int) -> None:
    """The project's parameters for another text, read by so many processes."""
    values = load_params().model_dump()
    values["corpus"] |= {"path": str(text), "normalize": "none", "max_chars": None}
    values["corpus"]["split"] = {"train": 0.998, "valid": 0.001, "test": 0.001}
    values["encode"]["workers"] = workers
    values["train"]["sample"]["prefixes"] = values["generate"]["prefixes"] = ["the"]
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(Params.model_validate(values).model_dump(), file)


def texts(gigabytes: float, folder: Path) -> dict[str, object]:
    """Counting and encoding by one process and by two."""
    text = folder / "text.txt"
    write_text(text, gigabytes)
    found: dict[str, object] = {"gigabytes": gigabytes}
    for workers in (1, 2):
        write_params(folder, text, workers)
        for stage in ("build_vocab", "encode_corpus"):
            figures = run_stage(stage, folder)
            found[f"{stage}_{workers}"] = figures
            print(f"{stage}, {workers} process(es): {json.dumps(figures)}", flush=True)
    return found


def train_on(folder: Path) -> None:
    """Print the speed of the first steps on a text in memory and on one that is read from its shards."""
    device.set_up(torch.device("cpu"), None, "highest", HIDDEN)
    stored = read_vocab(folder / VOCAB)
    large = EncodedText(folder / ENCODED, "train", stored)
    small = large[:1_000_000]
    sides: dict[str, list[float]] = {"small": [], "large": []}
    for _ in range(5):
        for name, text in (("small", small), ("large", large)):
            sides[name].append(_rate(text, len(stored.vocab), BATCH))
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps({name: median(rates) for name, rates in sides.items()} | {"peak_megabytes": peak}))


def train_with_ranks(threads: int) -> None:
    """Print, from the first of so many ranks, the speed of a training and of adding up its gradients."""
    device.set_up(torch.device("cpu"), threads, "highest", HIDDEN)
    ids = np.random.default_rng(1).integers(VOCABULARY, size=200_000)
    with join(torch.device("cpu")) as ranks:
        found = {
            str(lanes): median(
                _rate(ids, VOCABULARY, lanes * ranks.size, ranks, steps=RANK_STEPS) for _ in range(3)
            )
            for lanes in (BATCH // 2, BATCH, LARGER)
        }
        one, all_of_them = (_add_up_seconds(ranks, size) for size in (1, gradients()))
        if ranks.rank == 0:
            figures = {
                "characters_per_second": found,
                "add_up_seconds": all_of_them,
                "add_up_one_seconds": one,
            }
            print("\n" + json.dumps(figures))


def _add_up_seconds(ranks: Ranks, size: int) -> float:
    numbers, taken = torch.ones(size), []
    for _ in range(20):
        started = time.perf_counter()
        ranks.add_up([numbers])
        taken.append(time.perf_counter() - started)
        numbers.fill_(1)
    return median(taken)


def gradients() -> int:
    """Numbers that are added up in each step."""
    lm = CharLM(ModelConfig(VOCABULARY, "gru", HIDDEN))
    return sum(weight.numel() for weight in lm.parameters())


def _rate(text: Text, vocab_size: int, batch_size: int, ranks: Ranks = ALONE, steps: int = STEPS) -> float:
    """Characters a second of all ranks, over the first steps of a GRU's training, the first one left out."""
    train = load_params().train.model_copy(
        update={"batch_size": batch_size, "num_steps": NUM_STEPS, "epochs": 1000, "sampling": "consecutive"}
    )
    done: list[float] = []

    def step_done(*_: object) -> None:
        done.append(time.perf_counter())
        if len(done) == steps:
            raise _EnoughError

    torch.manual_seed(0)
    lm = CharLM(ModelConfig(vocab_size, "gru", HIDDEN))
    hooks = Hooks(None, lambda: (), lambda _: None, step_done, lambda _: None)
    with suppress(_EnoughError):
        Trainer(lm, text, train, 0, 1e9, hooks, ranks).run()
    return batch_size * NUM_STEPS * (steps - 1) / (done[-1] - done[0])


def add_up_seconds(size: float, ranks: int, network: Network, as_tree: bool = False) -> float:
    """An all-reduce of ``size`` bytes: each rank sends nearly twice as many, in 2 (n - 1) turns around a ring
    or 2 log2 n up and down two trees that have each half of the bytes.

    Patarasuk & Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations" (2009); Sanders,
    Speck & Träff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan" (2009).
    """
    turns = 2 * (math.ceil(math.log2(ranks)) if as_tree else ranks - 1)
    return 2 * (ranks - 1) / ranks * size / network.bandwidth + turns * network.latency


def loopback(two_ranks: dict[str, Any]) -> Network:
    """This machine's own network, from what two ranks took to add up one number and all gradients."""
    one, all_of_them = two_ranks["add_up_one_seconds"], two_ranks["add_up_seconds"]
    return Network("loopback", 4 * gradients() / (all_of_them - one), one / 2)


def simulate(rates: dict[str, float], networks: Iterable[Network]) -> list[dict[str, Any]]:
    """Steps of a GRU on more ranks, each with lanes of its own and one core as measured here, or a GPU, taken
    to be :data:`GPU_CORES` times as fast.

    ``rates`` are characters a second of one rank by lanes; larger vocabularies take as much longer as they
    need more multiplications. What is added up: ``dense``, all gradients; ``sparse``, only those rows of the
    input table whose characters the minibatch has, at most all of them; ``sharded``, the same with the output
    table cut among the ranks of a machine of eight, which exchange hidden states instead; ``tree``, all
    gradients by trees instead of a ring; ``larger``, all gradients, with four times the lanes. Efficiency is
    the part of a step that computes.
    """
    rows = []
    of_each = itertools.product(COMPUTERS, (VOCABULARY, 20_000), networks, RANKS)
    for computer, vocab_size, network, ranks in of_each:
        scale = _multiplications(vocab_size) / _multiplications(VOCABULARY) / COMPUTERS[computer]
        compute = {lanes: scale * lanes * NUM_STEPS / rates[str(lanes)] for lanes in (BATCH, LARGER)}
        seconds = {
            way: add_up_seconds(size, ranks, network) for way, size in _sizes(vocab_size, ranks).items()
        }
        seconds["sharded"] += add_up_seconds(
            4 * BATCH * NUM_STEPS * HIDDEN * min(ranks, 8), min(ranks, 8), BUS
        )
        seconds["tree"] = add_up_seconds(_sizes(vocab_size, ranks)["dense"], ranks, network, as_tree=True)
        efficiency = {way: compute[BATCH] / (compute[BATCH] + value) for way, value in seconds.items()}
        efficiency["larger"] = compute[LARGER] / (compute[LARGER] + seconds["dense"])
        row = {"computer": computer, "vocab_size": vocab_size, "network": network.name, "ranks": ranks}
        rows.append(row | {"compute": compute[BATCH], "seconds": seconds, "efficiency": efficiency})
    return rows


def table(rows: Iterable[dict[str, Any]], network: str = "10 Gbit/s") -> str:
    """Efficiency in percent on one network, as a table in Markdown."""
    ways = ("dense", "sparse", "sharded", "tree", "larger")
    lines = [
        f"| computer | vocabulary | ranks | {' | '.join(ways)} |",
        f"|---|---:|---:|{'---:|' * len(ways)}",
    ]
    for row in rows:
        if row["network"] == network and row["ranks"] in (2, 8, 64, 256, 1024):
            percent = " | ".join(f"{row['efficiency'][way]:.0%}" for way in ways)
            lines.append(f"| {row['computer']} | {row['vocab_size']:,} | {row['ranks']:,} | {percent} |")
    return "\n".join(lines)


def _sizes(vocab_size: int, ranks: int) -> dict[str, float]:
    """Bytes of gradients that are added up in a step, by way of doing it."""
    gates, tokens = 3, BATCH * NUM_STEPS
    recurrent = 4 * gates * HIDDEN * (HIDDEN + 2)
    table, output = 4 * vocab_size * gates * HIDDEN, 4 * vocab_size * (HIDDEN + 1)
    used = min(table, 4 * gates * HIDDEN * tokens * ranks)
    return {
        "dense": recurrent + table + output,
        "sparse": recurrent + used + output,
        "sharded": recurrent + used + output / min(ranks, 8),
    }


def _multiplications(vocab_size: int) -> int:
    """Of a character, forward: the recurrent product and the decoder's."""
    return HIDDEN * (3 * HIDDEN + vocab_size)


def main() -> None:
    """Measure, simulate, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4.0, help="size of the text (4)")
    parser.add_argument("--train-on", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ranks-of", type=int, metavar="THREADS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train_on:
        return train_on(arguments.train_on)
    if arguments.ranks_of:
        return train_with_ranks(arguments.ranks_of)
    with tempfile.TemporaryDirectory() as folder:
        content: dict[str, object] = {"text": texts(arguments.gigabytes, Path(folder))}
        content["training"] = _printed("-m", "benchmarks.scaling", "--train-on", folder)
    measured = {}
    for ranks, threads in ((1, 1), (1, 2), (2, 1)):
        launch = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}")
        program = ("-m", "benchmarks.scaling", "--ranks-of", str(threads))
        measured[f"{ranks} ranks of {threads} threads"] = _printed(*launch, *program)
    content["ranks"] = measured
    networks = (loopback(measured["2 ranks of 1 threads"]), *NETWORKS)
    rows = simulate(measured["1 ranks of 1 threads"]["characters_per_second"], networks)
    content["simulated"] = rows
    print(table(rows))
    write_json(FOLDER / "scaling.json", {"machine": asdict(machine.describe()), **content})


def _printed(*arguments: str) -> dict[str, Any]:
    """The last line of what a Python program prints, which is JSON."""
    result = subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    line = [line for line in result.stdout.splitlines() if line.strip()][-1]
    print(line, flush=True)
    found: dict[str, Any] = json.loads(line)
    return found


if __name__ == "__main__":
    main()
