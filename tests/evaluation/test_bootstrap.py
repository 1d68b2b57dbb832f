import math

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.coverage import PROCESSES, RULES, automatic_length, autoregressive
from pipeline.evaluation.bootstrap import (
    LEAST_CHARACTERS,
    block_length,
    degrees_of_freedom,
    interval,
    interval_by_blocks,
    student_quantile,
)

LONG = 100_000


def series(rho: float = 0, characters: int = LONG) -> NDArray[np.float64]:
    return autoregressive(np.random.default_rng(0), characters, rho)


def ends(losses: NDArray[np.float64] | NDArray[np.float32]) -> tuple[float, float]:
    found = interval(losses)
    assert found is not None
    return found


def width(losses: NDArray[np.float64]) -> float:
    low, high = ends(losses)
    return high - low


def test_equal_losses_have_no_width() -> None:
    assert ends(np.full(5000, 1.5)) == (1.5, 1.5)
    assert ends(np.full(5000, 0.1)) == pytest.approx((0.1, 0.1))
    assert ends(np.zeros(5000)) == (0, 0)


@pytest.mark.parametrize("rho", [0, 0.5, 0.9])
def test_width_of_dependent_losses(rho: float) -> None:
    """The variance of the mean of AR(1) is ``(1 + rho) / (1 - rho) / n`` in the long run.

    Few blocks of one series know it to a tenth or two.
    """
    expected = 2 * 1.96 * math.sqrt((1 + rho) / (1 - rho) / LONG)
    assert width(series(rho)) == pytest.approx(expected, rel=0.25)


def test_middle_is_the_mean() -> None:
    losses = series(0.5) + 2
    low, high = ends(losses)
    assert (low + high) / 2 == pytest.approx(losses.mean())


def test_by_hand() -> None:
    """Pairs of 1, 2, 3 and 4, in a ring, have the means 1.5, 2.5, 3.5 and 2.5.

    They are 1, 0, 1 and 0 from the mean: one has variance 1/2, the mean of two has 1/4. A pair is half of
    the text, which doubles this, and leaves 3 degrees of freedom.
    """
    low, high = interval_by_blocks(np.array([1.0, 2, 3, 4]), 2)
    assert degrees_of_freedom(1 / 2) == pytest.approx(3)
    assert (low, high) == pytest.approx((2.5 - 3.182 * 0.5**0.5, 2.5 + 3.182 * 0.5**0.5), abs=0.005)


def test_spread_is_that_of_blocks_drawn_at_random() -> None:
    losses, length, blocks = series(0.9, 1000) + 1, 50, 20
    random = np.random.default_rng(0)
    starts = random.integers(len(losses), size=(5000, blocks))
    ring = np.concatenate([losses, losses])
    means = np.array([ring[start : start + length].mean() for start in range(len(losses))])
    drawn = means[starts].mean(axis=1)
    low, high = interval_by_blocks(losses, length)
    wider = student_quantile(degrees_of_freedom(1 / blocks)) * math.sqrt(blocks / (blocks - 1))
    assert (high - low) / 2 / wider == pytest.approx(drawn.std(), rel=0.03)
    assert (high + low) / 2 == pytest.approx(drawn.mean(), abs=0.01)


@pytest.mark.parametrize("blocks", [3, 5, 20])
def test_degrees_of_freedom_are_those_of_the_variance(blocks: int) -> None:
    """Chi-squared with ``d`` degrees of freedom has ``2 mean**2 / variance == d``."""
    random = np.random.default_rng(0)
    characters = 20 * blocks
    wide = student_quantile(degrees_of_freedom(1 / blocks))
    variances = []
    for _ in range(3000):
        low, high = interval_by_blocks(random.standard_normal(characters), 20)
        variances.append(((high - low) / 2 / wide) ** 2 * characters)
    assert np.mean(variances) == pytest.approx(1, rel=0.05)
    degrees = 2 * np.mean(variances) ** 2 / np.var(variances)
    assert degrees == pytest.approx(degrees_of_freedom(1 / blocks), rel=0.15)


@pytest.mark.parametrize(("degrees", "published"), [(4, 2.776), (6, 2.447), (10, 2.228), (120, 1.980)])
def test_quantiles_of_students_t(degrees: int, published: float) -> None:
    assert student_quantile(degrees) == pytest.approx(published, abs=1e-3)


def test_blocks_grow_as_the_square_root_and_leave_three() -> None:
    assert [block_length(n) for n in (500, 1000, 10_000, 1_000_000)] == [166, 316, 1000, 10_000]


def test_is_the_same_each_time_and_leaves_the_losses() -> None:
    losses = series(0.5)
    before = losses.copy()
    assert interval(losses) == interval(losses)
    assert np.array_equal(losses, before)


def test_shifted_and_scaled_losses() -> None:
    losses = series(0.5, 3000)
    low, high = ends(losses)
    assert ends(losses + 7) == pytest.approx((low + 7, high + 7))
    assert ends(3 * losses) == pytest.approx((3 * low, 3 * high))
    assert ends(-losses) == pytest.approx((-high, -low))


def test_float32_is_added_up_in_float64() -> None:
    losses = (series(0.5, 1_000_000) + 100).astype(np.float32)
    assert ends(losses) == ends(losses.astype(np.float64))


def test_differences_of_two_models_have_a_narrower_interval_than_either() -> None:
    """What is hard for one is hard for the other, and drops out."""
    hard = 2 + series(0.9, 5000)
    better = hard - 0.1 + 0.1 * np.random.default_rng(1).standard_normal(5000)
    low, high = ends(better - hard)
    assert low < -0.1 < high < 0
    assert high - low < width(hard) / 10


@pytest.mark.parametrize("characters", [0, 1, 2, LEAST_CHARACTERS - 1])
def test_short_texts_have_none(characters: int) -> None:
    assert interval(np.ones(characters)) is None
    assert interval(np.ones(LEAST_CHARACTERS)) is not None


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_losses_that_are_not_finite_are_an_error(wrong: float) -> None:
    losses = np.ones(2000)
    losses[7] = wrong
    with pytest.raises(ValueError, match="finite"):
        interval(losses)


@pytest.mark.parametrize("process", list(PROCESSES)[:6])
def test_means_are_covered(process: str) -> None:
    """A little less than 95% of 300 intervals in texts this short, with a standard error of 1.3%."""
    draw, mean, _ = PROCESSES[process]
    random = np.random.default_rng(0)
    covered = {"ours": 0, "one character": 0}
    for _ in range(300):
        losses = draw(random, 5000)
        for rule in covered:
            low, high = interval_by_blocks(losses, RULES[rule](losses))
            covered[rule] += low <= mean <= high
    assert 0.91 * 300 <= covered["ours"] <= 0.985 * 300
    if process not in ("AR(1), 0", "exponential"):
        assert covered["one character"] < 0.8 * 300, "the bootstrap of single characters needs independence"


@pytest.mark.parametrize("process", PROCESSES)
def test_simulated_series_have_their_mean_and_variance(process: str) -> None:
    draw, mean, variance = PROCESSES[process]
    random = np.random.default_rng(0)
    means = np.array([draw(random, 10_000).mean() for _ in range(300)])
    assert means.mean() == pytest.approx(mean, abs=4 * math.sqrt(variance / 10_000 / 300))
    assert means.var() * 10_000 == pytest.approx(variance, rel=0.25)


def test_automatic_blocks_are_the_best_ones_for_ar_1() -> None:
    """Their length is the cube root of ``2 (slope / spectrum)**2 / (4 / 3) n``."""
    slope_by_spectrum = 2 * 0.9 / (1 - 0.9**2)
    best = (1.5 * slope_by_spectrum**2 * LONG) ** (1 / 3)
    assert automatic_length(series(0.9)) == pytest.approx(best, rel=0.3)
    assert automatic_length(series(0)) <= 10
