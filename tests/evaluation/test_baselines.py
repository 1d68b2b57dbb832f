import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.text import Integers
from pipeline.evaluation import baselines
from pipeline.evaluation.baselines import ORDERS, Baselines
from pipeline.evaluation.ngrams import NGrams

NOTHING = np.empty(0, np.int64)


def test_by_hand() -> None:
    train = np.array([0, 1, 0, 1, 0, 2])
    scores = Baselines(train, NOTHING, 4).scores(np.array([0, 1, 3]))
    assert scores["uniform"].perplexity == pytest.approx(4)
    # Unigram, one added to each count: 4/10, 3/10, 2/10, 1/10.
    assert scores["unigram"].perplexity == pytest.approx((0.3 * 0.1) ** -0.5)
    # After 0: three characters, two different; after 1: two, one different.
    after_0 = (2 + 2 * 0.3) / (3 + 2)
    after_1 = (0 + 1 * 0.1) / (2 + 1)
    assert scores["bigram"].perplexity == pytest.approx((after_0 * after_1) ** -0.5)
    assert {score.characters for score in scores.values()} == {2}


def test_character_never_seen_before_another_falls_back_on_the_unigram() -> None:
    scores = Baselines(np.array([0, 1]), NOTHING, 3).scores(np.array([2, 0]))
    assert scores["bigram"].perplexity == pytest.approx(scores["unigram"].perplexity)


def test_one_training_character() -> None:
    scores = Baselines(np.array([0]), NOTHING, 2).scores(np.array([0, 1]))
    assert scores["bigram"].perplexity == pytest.approx(3)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 4))
def test_probabilities_sum_to_one(train: list[int], before: int) -> None:
    counted = Baselines(np.array(train), NOTHING, 5)
    for name in ("unigram", "bigram", "ngram"):
        total = sum(np.exp(-counted.scores(np.array([before, after]))[name].nats) for after in range(5))
        assert total == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        (np.random.default_rng(1).integers(9, size=4000), 3),  # noise: longer histories only mislead
        (np.tile([0, 0, 0, 0, 1], 800), 5),
    ],
)
def test_ngrams_have_the_order_that_predicts_the_validation_split_best(text: Integers, order: int) -> None:
    train, valid = text[:3000], text[3000:]
    nats = {n: NGrams(train, 9, 5).nats(valid, n).mean() for n in ORDERS}
    assert min(nats, key=lambda n: nats[n]) == order
    assert Baselines(train, valid, 9).order == order


@pytest.mark.parametrize("valid", [[], [0]])
def test_without_validation_text_ngrams_have_order_3(valid: list[int]) -> None:
    assert Baselines(np.tile([0, 0, 0, 0, 1], 300), np.array(valid, np.int64), 2).order == 3


def test_scores_are_means_over_characters() -> None:
    train, text = np.random.default_rng(1).integers(4, size=(2, 500))
    counted = Baselines(train, text, 5)
    scores, nats = counted.scores(text), dict(counted.nats(text))
    assert list(scores) == list(nats) == ["uniform", "unigram", "bigram", "ngram"]
    for name, score in scores.items():
        assert len(nats[name]) == score.characters == 499
        assert nats[name].mean() == pytest.approx(score.nats)


def test_ngrams_count_only_the_start_of_a_large_text(monkeypatch: pytest.MonkeyPatch) -> None:
    train, text = np.random.default_rng(1).integers(4, size=(2, 500))
    monkeypatch.setattr(baselines, "COUNTED_CHARACTERS", 100)
    short, long = (Baselines(t, NOTHING, 4).scores(text) for t in (train[:100], train))
    assert long["ngram"] == short["ngram"]
    assert long["bigram"] != short["bigram"]
