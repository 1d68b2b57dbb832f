import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.evaluation import recitation as module
from pipeline.evaluation.recitation import GRAM, Recitation, means, recitation


def ids(text: str) -> NDArray[np.int64]:
    return np.array([ord(char) for char in text], np.int64)


def recited(train: str, *samples: str) -> list[Recitation]:
    return recitation(ids(train), [ids(sample).tolist() for sample in samples])


def by_definition(train: str, sample: str) -> Recitation:
    runs = (
        stop - start
        for start in range(len(sample))
        for stop in range(start + 1, len(sample) + 1)
        if sample[start:stop] in train
    )
    grams = [sample[start : start + GRAM] for start in range(len(sample) - GRAM + 1)]
    return Recitation(
        max(runs, default=0), sum(gram in train for gram in grams) / len(grams) if grams else None
    )


def test_by_hand() -> None:
    train = "the time traveller for so it will be convenient to speak of him"
    assert recited(train, "a time traveller of old", "so it will", "convenient", "xyz", "himself, the") == [
        Recitation(len(" time traveller "), 9 / 16),
        Recitation(10, 1.0),
        Recitation(10, 1.0),
        Recitation(0, None),
        Recitation(3, 0.0),
    ]


def test_run_does_not_cross_two_samples() -> None:
    assert recited("abcdefghijklmnop", "abcdefgh", "ijklmnop") == [Recitation(8, 1.0)] * 2


def test_same_sample_twice_has_the_same_result() -> None:
    assert recited("abcabcabcabc", "bcabcabcx", "abd", "bcabcabcx") == [
        Recitation(8, 0.5),
        Recitation(2, None),
        Recitation(8, 0.5),
    ]


def test_sample_with_too_few_characters_has_no_share() -> None:
    assert recited("abcdefghij", "", "a", "abcdefg", "abcdefgh") == [
        Recitation(0, None),
        Recitation(1, None),
        Recitation(7, None),
        Recitation(8, 1.0),
    ]


def test_nothing_to_compare() -> None:
    assert recited("", "abc", "abcdefghi", "") == [
        Recitation(0, None),
        Recitation(0, 0.0),
        Recitation(0, None),
    ]
    assert recited("abc") == []


def test_unk_is_a_character_like_any_other() -> None:
    train = np.array([3, 0, 4, 5, 0, 0, 6])
    assert [one.longest for one in recitation(train, [[3, 0, 4], [0, 0, 6, 3], [3, 4]])] == [3, 3, 1]


def test_ids_may_be_of_any_integer_type() -> None:
    for kind in (np.uint8, np.uint16, np.int32, np.uint64):
        train = ids("abcdefghij").astype(kind)
        assert recitation(train, [train[2:]]) == [Recitation(8, 1.0)]


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
@pytest.mark.parametrize("seed", range(30))
def test_equals_the_definition(monkeypatch: pytest.MonkeyPatch, chunk: int, seed: int) -> None:
    monkeypatch.setattr(module, "CHUNK_CHARACTERS", chunk)
    rng = np.random.default_rng(seed)
    letters = "abcdefghijkl"[: rng.choice([1, 2, 3, 12])]

    def random(length: int) -> str:
        return "".join(rng.choice(list(letters), length))

    train = random(rng.integers(400))
    samples = [random(rng.integers(40)) for _ in range(rng.integers(1, 5))]
    for length in (5, 20, 70):
        start = rng.integers(len(train) + 1)
        samples.append(random(rng.integers(10)) + train[start:][:length] + random(rng.integers(10)))
    assert recited(train, *samples) == [by_definition(train, sample) for sample in samples]


@pytest.mark.parametrize("multiplier", [0, 1])
def test_equal_hashes_do_not_change_results(monkeypatch: pytest.MonkeyPatch, multiplier: int) -> None:
    """With 0, all strings have the same hash; with 1, all that have the same characters in another order."""
    monkeypatch.setattr(module, "MULTIPLIER", np.uint64(multiplier))
    monkeypatch.setattr(module, "CHUNK_CHARACTERS", 100)
    rng = np.random.default_rng(0)
    train = "".join(rng.choice(list("abc"), 2000))
    samples = ["".join(rng.choice(list("abcd"), 60)) for _ in range(5)] + [train[990:1020]]
    assert recited(train, *samples) == [by_definition(train, sample) for sample in samples]


def test_means_are_over_samples() -> None:
    found = [Recitation(12, 1 / 3), Recitation(4, 0.0), Recitation(7, None)]
    assert means(found) == {"longest": 7.66667, "share": 0.166667}
    assert means(found[2:]) == {"longest": 7, "share": None}
    assert [one.figures() for one in found[::2]] == [
        {"longest": 12, "share": 0.333333},
        {"longest": 7, "share": None},
    ]


def test_run_over_a_border_between_chunks() -> None:
    border = module.CHUNK_CHARACTERS
    train = np.random.default_rng(0).integers(1, 50, 3 * border)
    for start in (border - 30, border - 1, border, 2 * border - 59):
        sample = np.concatenate([[0], train[start : start + 60], [0]])
        assert recitation(train, [sample]) == [Recitation(60, 53 / 55)]


def test_run_that_only_the_last_chunk_has() -> None:
    """Much of the sample is found at once: what is left must be looked for until the end."""
    train = np.random.default_rng(0).integers(1, 50, 20 * module.CHUNK_CHARACTERS)
    sample = np.concatenate([train[100:140], train[-50:], [0], train[200:207]])
    assert recitation(train, [sample]) == [Recitation(50, 1 - (7 + 8) / (98 - 7))]


def test_one_character_repeated_a_million_times() -> None:
    """A comparison of all places with all places would take hours."""
    train = np.zeros(1 << 20, np.int64)
    same, ending = np.zeros(20_000, np.int64), np.append(np.zeros(20_000, np.int64), 1)
    assert recitation(train, [same, ending]) == [
        Recitation(20_000, 1.0),
        Recitation(20_000, 1 - 1 / (20_001 - 7)),
    ]


def test_sample_is_the_whole_text() -> None:
    train = np.random.default_rng(0).integers(0, 4, module.CHUNK_CHARACTERS + 1000)
    assert recitation(train, [train]) == [Recitation(len(train), 1.0)]


class Periodic:
    """Fifty million characters that exist only where they are read: 0, 1, ... 7, 0, 1, ..."""

    def __len__(self) -> int:
        return 50_000_000

    def __getitem__(self, places: slice) -> NDArray[np.int64]:
        start, stop, _ = places.indices(len(self))
        return np.arange(start, stop) & 7


def test_memory_does_not_grow_with_the_text() -> None:
    text = Periodic()
    tracemalloc.start()
    # The second sample is never found as a whole, so that the text is read to its end.
    found = recitation(text, [text[1000:1200], np.array([6, 6])])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [Recitation(200, 1.0), Recitation(1, None)]
    assert peak < 20_000_000
