import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.evaluation import yardstick as module
from pipeline.evaluation.yardstick import held_out_recitation, passages
from pipeline.text.vocab import UNK, Vocab

CHARS = " abcdefghijklmnopqrstuvwxyz"
PLAIN = Vocab(tuple(CHARS), (1,) * len(CHARS))
WITH_UNK = Vocab((UNK, *CHARS), (1,) * (len(CHARS) + 1))


def ids(text: str, vocab: Vocab = PLAIN) -> NDArray[np.int64]:
    return vocab.encode(text).astype(np.int64)


def test_by_hand() -> None:
    train = ids("the time traveller for so it will be convenient to speak of him")
    valid, test = ids("so it will bemused him"), ids("the psychologist")
    # Ten characters each: "so it will", " bemused h"; "the psycho". The third of " bemused h" is a run of 3.
    found = held_out_recitation(train, [valid[:20], test], 10, PLAIN)
    longest = [10, len(" be"), len("the ")]
    assert found == {"longest": round(sum(longest) / 3, 5), "share": 0.333333}


def test_passages_lie_side_by_side_or_are_spread_over_the_text() -> None:
    text = np.arange(1000)
    assert [p.tolist() for p in passages(text[:6], 2, 3)] == [[0, 1], [2, 3], [4, 5]]
    spread = passages(text, 10, 4)
    assert [(p[0], p[-1]) for p in spread] == [(0, 9), (330, 339), (660, 669), (990, 999)]
    assert [p.tolist() for p in passages(text[:3], 10, 2)] == [[0, 1, 2]] * 2
    assert [p.tolist() for p in passages(text, 3, 1)] == [[0, 1, 2]]


def test_unknown_characters_are_not_recited() -> None:
    train = ids("abcdeÀfghijk", WITH_UNK)
    assert held_out_recitation(train, [ids("abcdeÉfghij", WITH_UNK)], 11, WITH_UNK) == {
        "longest": 5,
        "share": 0,
    }


def test_splits_shorter_than_a_sample_are_left_out() -> None:
    train, short = ids("abcdefghij"), ids("abcd")
    assert held_out_recitation(train, [short, ids("abcxyz")], 6, PLAIN) == {"longest": 3, "share": None}
    assert held_out_recitation(train, [short, short[:0]], 6, PLAIN) is None


def test_memory_does_not_grow_with_the_held_out_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CHARACTERS", 100)
    read: list[int] = []

    class Endless:
        def __len__(self) -> int:
            return 1 << 40

        def __getitem__(self, places: slice) -> NDArray[np.int64]:
            start, stop, _ = places.indices(len(self))
            read.append(stop - start)
            return np.ones(stop - start, np.int64)

    for length in (2, 30, 1000):
        held_out_recitation(ids("abc"), [Endless()], length, PLAIN)
    assert read == [2] * module.PASSAGES + [30] * 3 + [1000]
