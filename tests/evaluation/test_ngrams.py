from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.text import Integers
from pipeline.evaluation import ngrams
from pipeline.evaluation.ngrams import FALLBACK_DISCOUNTS, NGrams, discounts

Gram = tuple[int, ...]


def markov(characters: int, alphabet: Integers, seed: int = 0) -> Integers:
    """A random text in which what follows depends on the two characters before."""
    generator = np.random.default_rng(seed)
    text = [0, 0]
    for choice in generator.choice(len(alphabet), characters, p=[0.6, 0.25, 0.1, 0.05]):
        text.append((3 * text[-1] + 2 * text[-2] + choice) % len(alphabet))
    return alphabet[np.array(text[2:])]


class Slow:
    """The same models with dictionaries, one character at a time."""

    def __init__(self, train: list[int], vocab_size: int) -> None:
        self.size, self.length = vocab_size, len(train)
        self.counts = {
            n: Counter(tuple(train[i : i + n]) for i in range(len(train) - n + 1)) for n in range(1, 6)
        }

    def probability(self, history: Gram, character: int, order: int) -> float:
        if order == 1:
            return (self.counts[1][(character,)] + 1) / (self.length + self.size)
        if order == 2:
            lower = self.probability((), character, 1)
            after = {g: c for g, c in self.counts[2].items() if g[:1] == history[-1:]}
            count = after.get((*history[-1:], character), 0)
            return (count + len(after) * lower) / (sum(after.values()) + len(after)) if after else lower
        return self.kneser_ney(history[max(len(history) - order + 1, 0) :], character, order)

    def kneser_ney(self, history: Gram, character: int, order: int) -> float:
        lower = self.kneser_ney(history[1:], character, order) if history else 1 / self.size
        counts = self.modified(len(history) + 1, order)
        after = {gram: count for gram, count in counts.items() if gram[:-1] == history}
        if not after:
            return lower
        found = [sum(count == times for count in counts.values()) for times in range(5)]
        discount = FALLBACK_DISCOUNTS
        if all(found[1:4]):
            y = found[1] / (found[1] + 2 * found[2])
            usual = [0.0, *(n - (n + 1) * y * found[n + 1] / found[n] for n in (1, 2, 3))]
            discount = (0.0, *usual[1:]) if min(usual[1:]) > 0 else discount
        count = counts.get((*history, character), 0)
        taken = sum(discount[min(c, 3)] for c in after.values())
        return (count - discount[min(count, 3)] + taken * lower) / sum(after.values())

    def modified(self, length: int, order: int) -> dict[Gram, int]:
        if length == order:
            return self.counts[length]
        before: dict[Gram, set[int]] = defaultdict(set)
        for gram in self.counts[length + 1]:
            before[gram[1:]].add(gram[0])
        return {gram: max(len(before[gram]), 1) for gram in self.counts[length]}


def test_by_hand() -> None:
    model, text = NGrams(np.array([0, 1, 0, 1, 2]), 3, 3), np.array([0, 1, 2])
    # One added to each count: 3/8, 3/8, 2/8.
    assert np.exp(-model.nats(text, 1)) == pytest.approx([3 / 8, 2 / 8])
    # After 0: two characters, both the same. After 1: two different ones.
    assert np.exp(-model.nats(text, 2)) == pytest.approx(
        [(2 + 1 * 3 / 8) / (2 + 1), (1 + 2 * 2 / 8) / (2 + 2)]
    )
    # Each character, pair and triple counts once; half of it is taken. Without history, all have 1/3.
    single = 0.5 / 3 + 1.5 / 3 / 3
    assert single == pytest.approx(1 / 3)
    after_0 = 0.5 / 1 + 0.5 / 1 * single
    after_1 = 0.5 / 2 + 1.0 / 2 * single
    after_0_1 = 0.5 / 2 + 1.0 / 2 * after_1
    assert np.exp(-model.nats(text, 3)) == pytest.approx([after_0, after_0_1])


def test_discounts_by_hand() -> None:
    counts = np.repeat([1, 2, 3, 4, 9], [8, 4, 2, 1, 5])
    share = 8 / (8 + 2 * 4)
    expected = [0, 1 - 2 * share * 4 / 8, 2 - 3 * share * 2 / 4, 3 - 4 * share * 1 / 2]
    assert discounts(counts) == pytest.approx(expected)


@pytest.mark.parametrize("times", [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [9, 1, 9, 1], [1, 1, 1, 9]])
def test_texts_that_are_too_short_have_fixed_discounts(times: list[int]) -> None:
    assert tuple(discounts(np.repeat([1, 2, 3, 4], times))) == FALLBACK_DISCOUNTS


@pytest.mark.parametrize(("vocab_size", "lowest"), [(5, 0), (1 << 21, (1 << 21) - 5)])
def test_same_as_with_dictionaries(vocab_size: int, lowest: int) -> None:
    """Also if the numbers of 5-grams would not fit into 64 bits."""
    alphabet = lowest + np.arange(4)
    train, text = markov(3000, alphabet), markov(60, alphabet, seed=1)
    text[[20, 40]] = lowest + 4  # which is not in the training text
    fast, slow = NGrams(train, vocab_size, 5), Slow(train.tolist(), vocab_size)
    for order in range(1, 6):
        expected = [slow.probability(tuple(text[:i].tolist()), int(text[i]), order) for i in range(1, 60)]
        assert np.exp(-fast.nats(text, order)) == pytest.approx(expected)


def test_this_text_is_long_enough_for_its_own_discounts() -> None:
    """So the comparison covers them."""
    counts = Slow(markov(3000, np.arange(4)).tolist(), 5).counts[5]
    assert tuple(discounts(np.array(list(counts.values())))) != FALLBACK_DISCOUNTS


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60),
    st.lists(st.integers(0, 4), min_size=1, max_size=6),
    st.integers(1, 5),
)
def test_probabilities_sum_to_one(train: list[int], history: list[int], order: int) -> None:
    model = NGrams(np.array(train), 5, 5)
    nats = [model.nats(np.array([*history, after]), order)[-1] for after in range(5)]
    assert np.isfinite(nats).all()
    assert np.exp(-np.array(nats)).sum() == pytest.approx(1)


@pytest.mark.parametrize("order", range(1, 6))
def test_probabilities_sum_to_one_with_discounts_of_the_texts_own(order: int) -> None:
    model, histories = NGrams(markov(3000, np.arange(4)), 5, 5), np.random.default_rng(2)
    for _ in range(20):
        history = histories.integers(5, size=6)
        nats = [model.nats(np.append(history, after), order)[-1] for after in range(5)]
        assert np.exp(-np.array(nats)).sum() == pytest.approx(1)


@pytest.mark.parametrize("characters", [1, 2, 7, 100])
def test_size_of_chunks_does_not_matter(characters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    train, text = markov(300, np.arange(4)), markov(101, np.arange(4), seed=1)
    whole = [NGrams(train, 5, 5).nats(text, order) for order in range(1, 6)]
    monkeypatch.setattr(ngrams, "CHUNK_CHARACTERS", characters)
    chunks = [NGrams(train, 5, 5).nats(text, order) for order in range(1, 6)]
    for expected, found in zip(whole, chunks, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("characters", [0, 1])
def test_texts_without_a_second_character_have_no_figures(characters: int) -> None:
    assert len(NGrams(np.array([0, 1]), 2, 5).nats(np.zeros(characters, np.int64), 5)) == 0
