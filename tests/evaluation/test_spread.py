"""The spread between seeds: known answers, and to which parameters it belongs."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.evaluation.compare import compare
from pipeline.evaluation.spread import (
    Spread,
    parameters_digest,
    read_spreads,
    relative_standard_deviation,
    seed_half_width,
    spread_of,
    write_spreads,
)
from pipeline.params.load import Params, check_params
from pipeline.revisions import WORKSPACE, Revision
from tests.evaluation.test_compare import losses, random

PARAMS = {
    "seed": 1,
    "corpus": {"path": "text.txt"},
    "vocab": {},
    "train": {"epochs": 3},
    "models": {"rnn": {"cell": "rnn"}, "gru": {"cell": "gru", "train": {"epochs": 5}}},
    "generate": {"prefixes": ["a"]},
}


def params(**changes: object) -> Params:
    return check_params({**PARAMS, **changes})


def test_three_seeds_by_hand() -> None:
    # The logarithms are log 100 and 0.1 above and below: their standard deviation is 0.1.
    valid = [100.0, 100 * math.exp(0.1), 100 * math.exp(-0.1)]
    spread = spread_of("x", {seed: {"valid": valid[seed]} for seed in range(3)})
    assert spread == Spread("x", [0, 1, 2], {"valid": valid}, {"valid": 0.1})
    # Two trainings differ by sqrt(2) times as much. Student's quantile for 2 degrees of freedom is 4.303.
    assert seed_half_width([spread, spread], "valid") == pytest.approx(4.303 * math.sqrt(2) * 0.1, rel=0.02)


def test_ten_seeds_have_the_quantile_of_nine_degrees() -> None:
    spread = Spread("x", list(range(10)), {}, {"valid": 0.03})
    other = Spread("y", list(range(10)), {}, {"valid": 0.04})
    assert seed_half_width([spread, other], "valid") == pytest.approx(2.262 * 0.05, rel=1e-3)
    assert seed_half_width([spread, other], "test") == 0
    assert seed_half_width([], "valid") == 0


def test_the_same_figure_has_no_spread() -> None:
    assert relative_standard_deviation([7.0, 7.0, 7.0]) == 0


def test_only_splits_that_all_seeds_have() -> None:
    spread = spread_of("x", {1: {"valid": 2.0, "test": 3.0}, 2: {"valid": 2.0}})
    assert set(spread.relative_standard_deviation) == {"valid"}


def test_a_change_that_another_seed_would_make_shows_no_difference() -> None:
    hard = random(2000)
    change = compare(losses(hard), losses(hard + 0.05), seed_half_width=0.06)
    assert change is not None
    assert change.verdict == "no difference shown"
    assert (change.low, change.high) == pytest.approx((math.expm1(-0.01), math.expm1(0.11)), abs=1e-5)
    assert change.seed_half_width == 0.06
    larger = compare(losses(hard), losses(hard + 0.07), seed_half_width=0.06)
    assert larger is not None
    assert larger.verdict == "worse"


def test_squares_of_half_intervals_add_up() -> None:
    before, after = losses(random(4000)), losses(random(4000, seed=1))
    alone, both = compare(before, after), compare(before, after, seed_half_width=0.1)
    assert alone is not None
    assert both is not None
    assert alone.low is not None
    assert alone.high is not None
    assert both.low is not None
    assert both.high is not None
    half = (math.log1p(alone.high) - math.log1p(alone.low)) / 2
    widened = (math.log1p(both.high) - math.log1p(both.low)) / 2
    assert widened == pytest.approx(math.hypot(half, 0.1), rel=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 2},
        {"generate": {"prefixes": ["b"]}},
        {"train": {"epochs": 3, "sample": {"every": 5}}},
        {"train": {"epochs": 3, "batch_size": 32}},  # the default
        {"models": {"gru": PARAMS["models"]["gru"]}},  # type: ignore[index]
        {"runtime": {"threads": 1}},
    ],
)
def test_a_spread_still_belongs_to_the_same_training(changes: dict[str, object]) -> None:
    assert parameters_digest(params(**changes), "gru") == parameters_digest(params(), "gru")


@pytest.mark.parametrize(
    "changes",
    [
        {"corpus": {"path": "other.txt"}},
        {"vocab": {"min_count": 2}},
        {"train": {"epochs": 3, "clip": 0.5}},
        {"models": {"gru": {"cell": "gru", "train": {"epochs": 4}}}},
        {"models": {"gru": {"cell": "gru", "train": {"epochs": 5}, "dropout": 0.1}}},
    ],
)
def test_a_spread_does_not_belong_to_other_parameters(changes: dict[str, object]) -> None:
    assert parameters_digest(params(**changes), "gru") != parameters_digest(params(), "gru")


def test_a_spread_whose_figures_do_not_belong_together_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = spread_of("x", {seed: {"valid": 100.0 + seed} for seed in range(3)})
    write_spreads({"gru": whole})
    assert read_spreads(Revision(WORKSPACE)) == {"gru": whole}
    for changes in (
        {"seeds": [0]},
        {"perplexity": {"valid": [1.0, 2.0]}},
        {"perplexity": {"valid": [100.0, 101.0, math.inf]}},
        {"perplexity": {"valid": [100.0, 101.0, -102.0]}},
        {"relative_standard_deviation": {"valid": 400.0}},
        {"relative_standard_deviation": {}},
    ):
        content = json.dumps({"gru": asdict(replace(whole, **changes))})
        artifacts.SPREAD.write_text(content, encoding="utf-8")
        with pytest.raises(RefrainError, match=r"spread\.json is damaged"):
            read_spreads(Revision(WORKSPACE))
