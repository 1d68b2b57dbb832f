import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.baselines import Baselines


def test_by_hand() -> None:
    train = np.array([0, 1, 0, 1, 0, 2])
    scores = Baselines(train, 4).scores(np.array([0, 1, 3]))
    assert scores["uniform"].perplexity == pytest.approx(4)
    # Unigram, one added to each count: 4/10, 3/10, 2/10, 1/10.
    assert scores["unigram"].perplexity == pytest.approx((0.3 * 0.1) ** -0.5)
    # After 0: three characters, two different; after 1: two, one different.
    after_0 = (2 + 2 * 0.3) / (3 + 2)
    after_1 = (0 + 1 * 0.1) / (2 + 1)
    assert scores["bigram"].perplexity == pytest.approx((after_0 * after_1) ** -0.5)
    assert {score.characters for score in scores.values()} == {2}


def test_character_never_seen_before_another_falls_back_on_the_unigram() -> None:
    scores = Baselines(np.array([0, 1]), 3).scores(np.array([2, 0]))
    assert scores["bigram"].perplexity == pytest.approx(scores["unigram"].perplexity)


def test_one_training_character() -> None:
    scores = Baselines(np.array([0]), 2).scores(np.array([0, 1]))
    assert scores["bigram"].perplexity == pytest.approx(3)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 4))
def test_probabilities_sum_to_one(train: list[int], before: int) -> None:
    baselines = Baselines(np.array(train), 5)
    for name in ("unigram", "bigram"):
        total = sum(np.exp(-baselines.scores(np.array([before, after]))[name].nats) for after in range(5))
        assert total == pytest.approx(1)
