"""How often confidence intervals of a mean contain it, in series whose mean is known.

``python -m benchmarks.coverage`` prints the share in percent, which should be 95, and the mean width of our
intervals, relative to those of a known variance. Other rules for the length of blocks stand beside ours. It
takes some minutes.
"""

import argparse
import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import block_length, interval_by_blocks
from pipeline.program import run_program

Series = NDArray[np.float64]

REPETITIONS = {500: 4000, 1000: 4000, 5000: 3000, 20_000: 2000, 100_000: 1000}
"""By number of characters."""


def autoregressive(random: Generator, characters: int, rho: float) -> Series:
    """Mean 0 and variance 1. Each value is ``rho`` times the one before, plus noise."""
    values = random.standard_normal(characters)
    values[1:] *= math.sqrt(1 - rho**2)
    lag = 1
    while lag < characters and rho > 1e-16:  # adds twice as many of the values before in each turn
        values[lag:] += rho * values[:-lag].copy()
        lag, rho = 2 * lag, rho**2
    return values


def passages(random: Generator, characters: int, longest: int) -> Series:
    """Mean 1. Exponential noise times a level that passages of ``longest / 10`` to ``longest`` share."""
    shortest = longest // 10
    lengths = random.integers(shortest, longest + 1, size=characters // shortest + 1)
    levels = np.repeat(random.gamma(8, 1 / 8, size=len(lengths)), lengths)[:characters]
    return levels * random.standard_exponential(characters)


def shifts(random: Generator, characters: int) -> Series:
    """Mean 1. Exponential noise plus a normal level that passages of 20 to 200 share."""
    lengths = random.integers(20, 201, size=characters // 20 + 1)
    levels = np.repeat(random.normal(scale=0.3, size=len(lengths)), lengths)[:characters]
    return levels + random.standard_exponential(characters)


def passages_variance(longest: int) -> float:
    """The variance of the sum of ``passages``, by characters: of levels and of noise."""
    lengths = np.arange(longest // 10, longest + 1)
    return float((lengths**2).mean() / lengths.mean() / 8) + 1 + 1 / 8


def shifts_variance() -> float:
    """The variance of the sum of ``shifts``, by characters."""
    lengths = np.arange(20, 201)
    return float((lengths**2).mean() / lengths.mean() * 0.3**2) + 1


PROCESSES: dict[str, tuple[Callable[[Generator, int], Series], float, float]] = {
    "AR(1), 0": (lambda random, n: autoregressive(random, n, 0), 0, 1),
    "AR(1), 0.5": (lambda random, n: autoregressive(random, n, 0.5), 0, 3),
    "AR(1), 0.9": (lambda random, n: autoregressive(random, n, 0.9), 0, 19),
    "exponential": (lambda random, n: random.standard_exponential(n), 1, 1),
    "levels over 20 to 200, plus noise": (shifts, 1, shifts_variance()),
    "levels over 20 to 200, times noise": (
        lambda random, n: passages(random, n, 200),
        1,
        passages_variance(200),
    ),
    "levels over 200 to 2,000, times noise": (
        lambda random, n: passages(random, n, 2000),
        1,
        passages_variance(2000),
    ),
}
"""Series with their mean and the variance of their sum, by characters."""


def automatic_length(series: Series) -> int:
    """Politis & White (2004), "Automatic block-length selection for the dependent bootstrap", as corrected.

    Patton, Politis & White (2009) give the factor 4/3 of circular blocks. Autocorrelations count up to twice
    the lag after which five in a row are insignificant.
    """
    n = len(series)
    most = math.isqrt(n) + 5
    power = np.abs(np.fft.rfft(series - series.mean(), 2 * n)) ** 2
    covariances = np.fft.irfft(power)[: 2 * most + 1] / n
    significant = np.abs(covariances[1 : most + 1]) >= 2 * math.sqrt(math.log10(n) / n) * covariances[0]
    runs = np.convolve(significant, np.ones(5), "valid") == 0
    lags = min(2 * max(int(np.argmax(runs)) if runs.any() else most, 1), most)
    k = np.arange(1, lags + 1)
    weighted = np.minimum(1, 2 * (1 - k / lags)) * covariances[1 : lags + 1]
    slope, spectrum = 2 * (k * weighted).sum(), covariances[0] + 2 * weighted.sum()
    length = math.ceil(math.cbrt(2 * slope**2 / (4 / 3 * spectrum**2) * n))
    return max(1, min(length, math.ceil(3 * math.sqrt(n)), n // 3))


RULES: dict[str, Callable[[Series], int]] = {
    "ours": lambda series: block_length(len(series)),
    "automatic": automatic_length,
    "cube root": lambda series: round(len(series) ** (1 / 3)),
    "one character": lambda _: 1,
}
"""How long a block is, by rule."""


def line(process: str, characters: int, repetitions: int) -> str:
    """One line of the table."""
    draw, mean, variance = PROCESSES[process]
    random = np.random.default_rng([characters, list(PROCESSES).index(process)])
    covered, width = dict.fromkeys(RULES, 0), 0.0
    for _ in range(repetitions):
        series = draw(random, characters)
        for rule, length in RULES.items():
            low, high = interval_by_blocks(series, length(series))
            covered[rule] += low <= mean <= high
            width += high - low if rule == "ours" else 0
    relative = width / repetitions / (2 * 1.96 * math.sqrt(variance / characters))
    shares = " | ".join(f"{100 * count / repetitions:.1f}" for count in covered.values())
    return f"| {process} | {characters:,} | {repetitions:,} | {shares} | {relative:.2f} |"


def main(repetitions: int | None) -> None:
    """Print the table."""
    print(f"| series | characters | repetitions | {' | '.join(RULES)} | width |")
    print("|---|" + "---:|" * (len(RULES) + 3))
    for process in PROCESSES:
        for characters, usual in REPETITIONS.items():
            print(line(process, characters, repetitions or usual), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--repetitions", type=int, help="of each line (1,000 to 4,000)")
    run_program(main, parser)
