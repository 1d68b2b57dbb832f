"""How far texts and trainings scale: measured on this machine, and on paper for more processes.

``make bench-scaling`` takes some minutes and writes ``scaling.json``; docs/scaling.md explains its figures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from ruamel.yaml import YAML

from benchmarks import machine
from benchmarks.setups import FOLDER
from pipeline import device
from pipeline.artifacts import ENCODED, VOCAB, write_json
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.params import Params, load_params
from pipeline.text.batches import Text
from pipeline.text.encoded import EncodedText
from pipeline.text.vocab import read_vocab
from pipeline.training.ranks import ALONE, Ranks, join
from pipeline.training.trainer import Hooks, Trainer

STEPS = 200
LETTERS = np.frombuffer(b"  eeettaaooiinnsshhrrddlluuccmmwwffggyyppbbvvkkjxqzETAOINSH.,;'!?\n", np.uint8)
RANKS = (1, 2, 8, 16, 32, 64, 128, 256, 512, 1024)
HIDDEN, VOCABULARY, BATCH, NUM_STEPS = 256, 1027, 32, 35


MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command and prints the kilobytes of its largest process. Started from here directly, a process would
count as large as this one.
"""


class _EnoughError(Exception):
    """So many steps are done."""


@dataclass(frozen=True)
class Network:
    """``bandwidth`` in bytes and ``latency`` in seconds, from one rank to its neighbour."""

    name: str
    bandwidth: float
    latency: float


NETWORKS = (Network("10 Gbit/s", 1.25e9, 50e-6), Network("100 Gbit/s", 12.5e9, 10e-6))


def write_text(path: Path, gigabytes: float) -> None:
    """A text of so many bytes, made of letters as frequent as in English; the same in every run."""
    random = np.random.default_rng(1)
    with path.open("wb") as file:
        for _ in range(round(gigabytes * 100)):
            file.write(LETTERS[random.integers(len(LETTERS), size=10_000_000)].tobytes())


def run_stage(stage: str, folder: Path) -> tuple[float, float]:
    """Seconds, and the megabytes of its largest process, of a stage in a folder with a params.yaml."""
    code = Path(__file__).parent.parent
    started = time.perf_counter()
    found = subprocess.run(
        [sys.executable, "-c", MEASURED, sys.executable, "-m", f"pipeline.stages.{stage}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(code)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    ).stdout
    return time.perf_counter() - started, int(found) / 1024


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
            seconds, megabytes = run_stage(stage, folder)
            found[f"{stage}_{workers}"] = {"seconds": seconds, "largest_process_megabytes": megabytes}
            print(f"{stage}, {workers} process(es): {seconds:.1f} s, {megabytes:.0f} MB", flush=True)
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


def train_with_ranks() -> None:
    """Print, from the first of so many ranks, the speed of a training and of adding up its gradients."""
    device.set_up(torch.device("cpu"), 1, "highest", HIDDEN)
    ids = np.random.default_rng(1).integers(VOCABULARY, size=200_000)
    with join(torch.device("cpu")) as ranks:
        found = {
            str(batch): median(_rate(ids, VOCABULARY, batch, ranks) for _ in range(3)) for batch in (32, 64)
        }
        weights = [torch.ones(_weights())]
        taken = []
        for _ in range(20):
            started = time.perf_counter()
            ranks.add_up(weights)
            taken.append(time.perf_counter() - started)
            weights[0].fill_(1)
        if ranks.rank == 0:
            print("\n" + json.dumps({"characters_per_second": found, "add_up_seconds": median(taken)}))


def _weights() -> int:
    lm = CharLM(ModelConfig(VOCABULARY, "gru", HIDDEN))
    return sum(weight.numel() for weight in lm.parameters())


def _rate(text: Text, vocab_size: int, batch_size: int, ranks: Ranks = ALONE) -> float:
    """Characters a second of all ranks, over the first steps of a GRU's training, the first one left out."""
    train = load_params().train.model_copy(
        update={"batch_size": batch_size, "num_steps": NUM_STEPS, "epochs": 1000, "sampling": "consecutive"}
    )
    done: list[float] = []

    def step_done(*_: object) -> None:
        done.append(time.perf_counter())
        if len(done) == STEPS:
            raise _EnoughError

    torch.manual_seed(0)
    lm = CharLM(ModelConfig(vocab_size, "gru", HIDDEN))
    hooks = Hooks(None, lambda: (), lambda _: None, step_done, lambda _: None)
    with suppress(_EnoughError):
        Trainer(lm, text, train, 0, 1e9, hooks, ranks).run()
    return batch_size * NUM_STEPS * (STEPS - 1) / (done[-1] - done[0])


def add_up_seconds(size: float, ranks: int, network: Network) -> float:
    """A ring all-reduce of ``size`` bytes: each rank sends nearly twice as many, in 2 (n - 1) turns.

    Patarasuk & Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations" (2009).
    """
    return 2 * (ranks - 1) / ranks * size / network.bandwidth + 2 * (ranks - 1) * network.latency


def simulate(rates: dict[str, float]) -> list[dict[str, object]]:
    """Steps of a GRU on more ranks, each with 32 lanes of its own and one core as measured here.

    ``rates`` are characters a second of one rank by batch size; larger vocabularies take as much longer as
    they need more multiplications. ``dense`` adds up all gradients; ``sparse`` only those rows of the input
    table whose characters the minibatch has, at most all of them; ``sharded`` leaves the output table cut
    among the ranks of a machine of eight, which exchange outputs instead.
    """
    compute = BATCH * NUM_STEPS / rates[str(BATCH)]
    gates, tokens = 3, BATCH * NUM_STEPS
    recurrent = 4 * gates * HIDDEN * (HIDDEN + 2)
    rows = []
    for vocab_size in (VOCABULARY, 20_000):
        table, output = 4 * vocab_size * gates * HIDDEN, 4 * vocab_size * (HIDDEN + 1)
        scale = _multiplications(vocab_size) / _multiplications(VOCABULARY)
        for network in NETWORKS:
            for ranks in RANKS:
                used = min(table, 4 * gates * HIDDEN * tokens * ranks)
                exchange = 4 * tokens * HIDDEN * min(ranks, 8)
                sizes = {
                    "dense": recurrent + table + output,
                    "sparse": recurrent + used + output,
                    "sharded": recurrent + used + output / min(ranks, 8) + exchange,
                }
                seconds = {name: add_up_seconds(size, ranks, network) for name, size in sizes.items()}
                rows.append(
                    {
                        "vocab_size": vocab_size,
                        "network": network.name,
                        "ranks": ranks,
                        "compute_seconds": compute * scale,
                        **{f"{name}_seconds": value for name, value in seconds.items()},
                        **{
                            f"{name}_efficiency": compute * scale / (compute * scale + value)
                            for name, value in seconds.items()
                        },
                    }
                )
    return rows


def _multiplications(vocab_size: int) -> int:
    """Of a character, forward: the recurrent product and the decoder's."""
    return HIDDEN * (3 * HIDDEN + vocab_size)


def main() -> None:
    """Measure, simulate, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the text (2)")
    parser.add_argument("--train-on", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ranks", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train_on:
        return train_on(arguments.train_on)
    if arguments.ranks:
        return train_with_ranks()
    with tempfile.TemporaryDirectory() as folder:
        content: dict[str, object] = {"text": texts(arguments.gigabytes, Path(folder))}
        content["training"] = _printed("-m", "benchmarks.scaling", "--train-on", folder)
    by_ranks = {}
    for ranks in (1, 2):
        launch = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}")
        by_ranks[str(ranks)] = _printed(*launch, "-m", "benchmarks.scaling", "--ranks")
    content["ranks"] = by_ranks
    content["simulated"] = simulate(by_ranks["1"]["characters_per_second"])
    write_json(FOLDER / "scaling.json", {"machine": asdict(machine.describe()), **content})


def _printed(*arguments: str) -> dict[str, dict[str, float]]:
    """The last line of what a Python program prints, which is JSON."""
    result = subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    line = [line for line in result.stdout.splitlines() if line.strip()][-1]
    print(line, flush=True)
    found: dict[str, dict[str, float]] = json.loads(line)
    return found


if __name__ == "__main__":
    main()
