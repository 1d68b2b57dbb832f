"""Reading a text larger than memory: the stages that read it, and a training on what they wrote."""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import torch
from ruamel.yaml import YAML

from benchmarks.processes import peak_megabytes
from benchmarks.setups import BATCH, HIDDEN
from benchmarks.training_rate import characters_per_second
from pipeline import device
from pipeline.artifacts import ENCODED, VOCAB
from pipeline.code_digest import ROOT
from pipeline.data.encoded import EncodedText
from pipeline.errors import RefrainError
from pipeline.params.recipes import load_recipe
from pipeline.text.vocab import read_vocab

LETTERS = np.frombuffer(b"  eeettaaooiinnsshhrrddlluuccmmwwffggyyppbbvvkkjxqzETAOINSH.,;'!?\n", np.uint8)
WRITTEN_AT_ONCE = 10_000_000
LOOK_SECONDS = 0.1
"""Seconds between two looks at the memory of a stage."""


def write_letters(path: Path, gigabytes: float) -> None:
    """Write a text of letters about as frequent as in English, the same in every run."""
    random = np.random.default_rng(1)
    with path.open("wb") as file:
        for _ in range(round(gigabytes * 1e9 / WRITTEN_AT_ONCE)):
            file.write(LETTERS[random.integers(len(LETTERS), size=WRITTEN_AT_ONCE)].tobytes())


def write_params(folder: Path, text: Path, workers: int) -> None:
    """Write the default parameters, for another text that so many processes read."""
    changes = {
        "corpus.path": str(text),
        "corpus.normalize": "none",
        "corpus.split": {"train": 0.998, "valid": 0.001, "test": 0.001},
        "train.sample.prefixes": ["the"],
        "generate.prefixes": ["the"],
        "runtime.text_workers": workers,
    }
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(load_recipe("default", changes).model_dump(), file)


def run_stage(stage: str, folder: Path) -> dict[str, float]:
    """Seconds of a stage, the resident memory of its largest process, and the memory of all its processes.

    Memory that processes share counts once.

    Raises :class:`RefrainError` if it fails.
    """
    log, command = folder / "stage.log", [sys.executable, "-m", f"pipeline.stages.{stage}"]
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as stderr:
        process = psutil.Popen(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=stderr
        )
    largest = together = 0
    while process.poll() is None:
        memory = []
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                memory.append(member.memory_full_info())
        largest = max(largest, *(info.rss for info in memory), 0)
        together = max(together, sum(info.pss for info in memory))
        time.sleep(LOOK_SECONDS)
    if process.returncode:
        reason = "".join(log.read_text(encoding="utf-8").splitlines()[-1:])
        raise RefrainError(f"the stage {stage} ended with status {process.returncode}: {reason}")
    return {
        "seconds": time.perf_counter() - started,
        "largest_process_megabytes": largest / 2**20,
        "together_megabytes": together / 2**20,
    }


def read_texts(gigabytes: float, folder: Path) -> dict[str, object]:
    """Counting and encoding by one process and by two."""
    text = folder / "text.txt"
    write_letters(text, gigabytes)
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
    rates: dict[str, list[float]] = {"small": [], "large": []}
    for _ in range(5):
        for name, text in (("small", small), ("large", large)):
            rates[name].append(characters_per_second(text, len(stored.vocab), BATCH))
    medians = {name: median(measured) for name, measured in rates.items()}
    print(json.dumps(medians | {"peak_megabytes": peak_megabytes()}))
