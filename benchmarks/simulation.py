"""What to expect of more processes than this machine has, calculated from what one of them takes here."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.setups import HIDDEN, VOCABULARY
from benchmarks.setups import STEPS as NUM_STEPS
from pipeline.nn.language_model import CharLM, ModelConfig

RANKS = (1, 2, 8, 16, 32, 64, 128, 256, 512, 1024)
LANES, MORE_LANES = 32, 128
GPU_CORES = 20
COMPUTERS = {"core": 1, "GPU": GPU_CORES}


@dataclass(frozen=True)
class Network:
    """``bandwidth`` in bytes per second and ``latency`` in seconds, from one rank to its neighbour."""

    name: str
    bandwidth: float
    latency: float


BUS = Network("inside a machine", 12.5e9, 10e-6)
NETWORKS = (Network("10 Gbit/s", 1.25e9, 50e-6), Network("100 Gbit/s", 12.5e9, 10e-6))


def num_gradients() -> int:
    """How many numbers are added up in each step."""
    model = CharLM(ModelConfig(VOCABULARY, "gru", HIDDEN))
    return sum(weight.numel() for weight in model.parameters())


def add_up_seconds(size: float, ranks: int, network: Network, as_tree: bool = False) -> float:
    """Seconds of an all-reduce of ``size`` bytes.

    Each rank sends nearly twice as many bytes, in 2 (n - 1) turns around a ring. As trees, it takes
    2 log2 n turns up and down two trees, each of which has half of the bytes.

    Patarasuk & Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations" (2009); Sanders,
    Speck & Träff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan" (2009).
    """
    turns = 2 * (math.ceil(math.log2(ranks)) if as_tree else ranks - 1)
    return 2 * (ranks - 1) / ranks * size / network.bandwidth + turns * network.latency


def loopback(two_ranks: dict[str, Any]) -> Network:
    """This machine's own network, from what two ranks took to add up one number and all gradients."""
    one, all_of_them = two_ranks["add_up_one_seconds"], two_ranks["add_up_seconds"]
    return Network("loopback", 4 * num_gradients() / (all_of_them - one), one / 2)


def simulate(rates: dict[str, float], networks: Iterable[Network]) -> list[dict[str, Any]]:
    """Steps of a GRU on more ranks, each with lanes of its own, and one core as measured here or one GPU.

    A GPU counts as :data:`GPU_CORES` times as fast. ``rates`` are characters per second of one rank by
    lanes. Larger vocabularies take as much longer as they need more multiplications. The ways to add up:

    - ``dense``: all gradients;
    - ``sparse``: of the input table, only the rows of characters that the minibatch has;
    - ``sharded``: as ``sparse``, and the ranks of a machine of eight divide the output table and exchange
      hidden states instead;
    - ``tree``: all gradients, by trees instead of a ring;
    - ``larger``: all gradients, with four times the lanes.

    Efficiency is the share of a step that computes.
    """
    rows = []
    for computer, vocab_size, network, ranks in itertools.product(
        COMPUTERS, (VOCABULARY, 20_000), networks, RANKS
    ):
        scale = _multiplications(vocab_size) / _multiplications(VOCABULARY) / COMPUTERS[computer]
        compute = {lanes: scale * lanes * NUM_STEPS / rates[str(lanes)] for lanes in (LANES, MORE_LANES)}
        seconds = _seconds_by_way(vocab_size, ranks, network)
        efficiency = {way: compute[LANES] / (compute[LANES] + value) for way, value in seconds.items()}
        efficiency["larger"] = compute[MORE_LANES] / (compute[MORE_LANES] + seconds["dense"])
        row = {"computer": computer, "vocab_size": vocab_size, "network": network.name, "ranks": ranks}
        rows.append(row | {"compute": compute[LANES], "seconds": seconds, "efficiency": efficiency})
    return rows


def efficiency_table(rows: Iterable[dict[str, Any]]) -> str:
    """Efficiency in percent on the first of the networks, as a table in Markdown."""
    ways = ("dense", "sparse", "sharded", "tree", "larger")
    lines = [
        f"| computer | vocabulary | ranks | {' | '.join(ways)} |",
        f"|---|---:|---:|{'---:|' * len(ways)}",
    ]
    for row in rows:
        if row["network"] == NETWORKS[0].name and row["ranks"] in (2, 8, 64, 256, 1024):
            percent = " | ".join(f"{row['efficiency'][way]:.0%}" for way in ways)
            lines.append(f"| {row['computer']} | {row['vocab_size']:,} | {row['ranks']:,} | {percent} |")
    return "\n".join(lines)


def _seconds_by_way(vocab_size: int, ranks: int, network: Network) -> dict[str, float]:
    """Seconds that a step takes to add up gradients, by way of doing it."""
    sizes = _sizes(vocab_size, ranks)
    seconds = {way: add_up_seconds(size, ranks, network) for way, size in sizes.items()}
    neighbours = min(ranks, 8)
    seconds["sharded"] += add_up_seconds(4 * LANES * NUM_STEPS * HIDDEN * neighbours, neighbours, BUS)
    seconds["tree"] = add_up_seconds(sizes["dense"], ranks, network, as_tree=True)
    return seconds


def _sizes(vocab_size: int, ranks: int) -> dict[str, float]:
    """Bytes of gradients that are added up in a step, by way of doing it."""
    gates, characters = 3, LANES * NUM_STEPS
    recurrent = 4 * gates * HIDDEN * (HIDDEN + 2)
    table, output = 4 * vocab_size * gates * HIDDEN, 4 * vocab_size * (HIDDEN + 1)
    used = min(table, 4 * gates * HIDDEN * characters * ranks)
    return {
        "dense": recurrent + table + output,
        "sparse": recurrent + used + output,
        "sharded": recurrent + used + output / min(ranks, 8),
    }


def _multiplications(vocab_size: int) -> int:
    """Those of a character, forward: the recurrent product and the decoder's."""
    return HIDDEN * (3 * HIDDEN + vocab_size)
