"""Two models on the same characters: known answers, and intervals in a simulation."""

import math

import numpy as np
import pytest

from pipeline.evaluation.compare import compare
from pipeline.evaluation.losses import CharacterLosses


def losses(nats: np.ndarray, unk: np.ndarray | None = None) -> CharacterLosses:
    is_unk = np.zeros(len(nats), bool) if unk is None else unk
    return CharacterLosses(nats.astype(np.float32), is_unk, "text")


def random(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).exponential(4.0, size)


def test_the_same_model_shows_no_difference() -> None:
    same = losses(random(2000))
    change = compare(same, same)
    assert change is not None
    assert (change.change, change.low, change.high) == (0.0, 0.0, 0.0)
    assert change.verdict == "no difference shown"


def test_a_constant_difference_is_sure_however_hard_the_text() -> None:
    hard = random(2000)
    change = compare(losses(hard), losses(hard + math.log(1.1)))
    assert change is not None
    assert change.change == pytest.approx(0.1, abs=1e-5)
    assert change.low == pytest.approx(0.1, abs=1e-5)
    assert change.verdict == "worse"
    back = compare(losses(hard + math.log(1.1)), losses(hard))
    assert back is not None
    assert back.verdict == "better"
    assert back.change == pytest.approx(1 / 1.1 - 1, abs=1e-5)


def test_figures_by_hand() -> None:
    before, after = np.full(1000, math.log(8)), np.full(1000, math.log(4))
    unk = np.zeros(1000, bool)
    unk[:100] = True
    before[:100] = 99.0  # not compared
    change = compare(losses(before), losses(after, unk))
    assert change is not None
    assert change.before == pytest.approx(8, rel=1e-5)
    assert change.after == pytest.approx(4, rel=1e-5)
    assert change.change == pytest.approx(-0.5, abs=1e-5)
    assert (change.characters, change.left_out) == (900, 100)


def test_a_small_text_has_no_interval() -> None:
    change = compare(losses(random(100)), losses(random(100, seed=1)))
    assert change is not None
    assert change.low is change.high is None
    assert change.verdict == "too short for an interval"


def test_nothing_to_compare() -> None:
    all_unk = losses(random(600), np.ones(600, bool))
    assert compare(all_unk, losses(random(600))) is None
    not_finite = random(600)
    not_finite[5] = np.nan
    assert compare(losses(random(600)), losses(not_finite)) is None


def test_intervals_of_paired_differences_hold_the_truth() -> None:
    """Two models whose losses share what makes a text hard, and differ by passages."""
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(200):
        passages = np.repeat(rng.normal(0.02, 0.1, 50), 100)
        shared = rng.exponential(4.0, 5000)
        change = compare(losses(shared), losses(shared + passages + rng.normal(0, 0.3, 5000)))
        assert change is not None
        assert change.low is not None
        assert change.high is not None
        inside += change.low <= math.expm1(0.02) <= change.high
    assert 180 <= inside <= 199
