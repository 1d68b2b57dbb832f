"""The speed of a training on several processes of this machine, and of adding up its gradients."""

import json
import time
from statistics import median

import numpy as np
import torch

from benchmarks.setups import BATCH, HIDDEN, VOCABULARY
from benchmarks.simulation import LANES, MORE_LANES, num_gradients
from benchmarks.training_rate import characters_per_second
from pipeline import device
from pipeline.training.ranks import Ranks, join_ranks

RANK_STEPS = 60
ROUNDS = 3


def train_with_ranks(threads: int) -> None:
    """Print, from the first of the ranks that torchrun started, what they measure together."""
    device.set_up(torch.device("cpu"), threads, "highest", HIDDEN)
    ids = np.random.default_rng(1).integers(VOCABULARY, size=200_000)
    with join_ranks(torch.device("cpu")) as ranks:
        rates = {
            str(lanes): median(
                characters_per_second(ids, VOCABULARY, lanes * ranks.size, ranks, RANK_STEPS)
                for _ in range(ROUNDS)
            )
            for lanes in (BATCH // 2, LANES, MORE_LANES)
        }
        one, all_of_them = (measure_adding_up(ranks, size) for size in (1, num_gradients()))
        if ranks.rank == 0:
            figures = {
                "characters_per_second": rates,
                "add_up_seconds": all_of_them,
                "add_up_one_seconds": one,
            }
            print("\n" + json.dumps(figures))


def measure_adding_up(ranks: Ranks, size: int) -> float:
    """Seconds in which all ranks add up so many numbers."""
    numbers, taken = torch.ones(size), []
    for _ in range(20):
        started = time.perf_counter()
        ranks.add_up([numbers])
        taken.append(time.perf_counter() - started)
        numbers.fill_(1)
    return median(taken)
