from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.data import batches
from pipeline.data.batches import (
    SAMPLINGS,
    Selection,
    classic_consecutive,
    classic_random,
    consecutive,
    gather,
    num_classic_consecutive,
    num_classic_random,
    num_consecutive,
    num_random,
    random,
)
from pipeline.errors import RefrainError

SIZES = {"n": st.integers(2, 400), "batch_size": st.integers(1, 8), "num_steps": st.integers(1, 12)}


def words(ids: Tensor, text: str) -> list[str]:
    """The rows of a minibatch as text."""
    return ["".join(text[i] for i in row) for row in ids.t().tolist()]


def test_classic_example() -> None:
    text = "我想拥有直升机,我想飞到天上去。"
    minibatches = list(consecutive(torch.arange(len(text)), batch_size=2, num_steps=4))
    assert [(words(x, text), words(y, text)) for x, y in minibatches] == [
        (["我想拥有", "我想飞到"], ["想拥有直", "想飞到天"]),
        (["直升机,", "天上去。"], ["升机,我", "上去。我"]),
    ]


def test_classic_example_at_random() -> None:
    text = "我想拥有直升机,我想飞到天上去。"
    generator = torch.Generator().manual_seed(0)
    ((x, y),) = random(torch.arange(len(text)), batch_size=4, num_steps=4, generator=generator)
    rows = dict(zip(words(x, text), words(y, text), strict=True))
    # 15 characters have a next one: three windows of four, from an offset of 0 to 3.
    expected = [{text[i : i + 4]: text[i + 1 : i + 5] for i in range(o, o + 12, 4)} for o in range(4)]
    assert rows in expected


def test_textbooks_example_of_30_numbers() -> None:
    minibatches = [(x.t().tolist(), y.t().tolist()) for x, y in classic_consecutive(torch.arange(30), 2, 6)]
    assert minibatches == [
        ([[0, 1, 2, 3, 4, 5], [15, 16, 17, 18, 19, 20]], [[1, 2, 3, 4, 5, 6], [16, 17, 18, 19, 20, 21]]),
        ([[6, 7, 8, 9, 10, 11], [21, 22, 23, 24, 25, 26]], [[7, 8, 9, 10, 11, 12], [22, 23, 24, 25, 26, 27]]),
    ]


@given(**SIZES)
def test_classic_minibatches_adjoin_and_are_of_one_size(n: int, batch_size: int, num_steps: int) -> None:
    if not num_classic_consecutive(n, batch_size, num_steps):
        with pytest.raises(RefrainError, match="lower train"):
            list(classic_consecutive(torch.arange(n), batch_size, num_steps))
        return
    minibatches = list(classic_consecutive(torch.arange(n), batch_size, num_steps))
    assert len(minibatches) == num_classic_consecutive(n, batch_size, num_steps)
    assert all(x.shape == y.shape == (num_steps, batch_size) for x, y in minibatches)
    assert all(torch.equal(y, x + 1) for x, y in minibatches)
    starts = minibatches[0][0][0]
    assert torch.equal(starts, torch.arange(batch_size) * (n // batch_size))
    assert all(torch.equal(after[0][0], before[1][-1]) for before, after in pairwise(minibatches))


@given(**SIZES)
def test_classic_windows_are_the_same_each_epoch_in_another_order(
    n: int, batch_size: int, num_steps: int
) -> None:
    generator = torch.Generator().manual_seed(1)
    if not num_classic_random(n, batch_size, num_steps):
        with pytest.raises(RefrainError, match="lower train"):
            list(classic_random(torch.arange(n), batch_size, num_steps, generator))
        return
    for _ in range(2):
        minibatches = list(classic_random(torch.arange(n), batch_size, num_steps, generator))
        assert len(minibatches) == num_classic_random(n, batch_size, num_steps)
        assert all(x.shape == (num_steps, batch_size) for x, _ in minibatches)
        assert all(torch.equal(y, x + 1) for x, y in minibatches)
        starts = torch.cat([x[0] for x, _ in minibatches])
        assert not (starts % num_steps).any()
        assert len(starts.unique()) == len(starts)


@given(**SIZES)
def test_consecutive_minibatches_adjoin_and_lose_nothing(n: int, batch_size: int, num_steps: int) -> None:
    if n < 2 * batch_size:
        return
    minibatches = list(consecutive(torch.arange(n), batch_size, num_steps))
    assert len(minibatches) == num_consecutive(n, batch_size, num_steps)
    assert all(x.shape == y.shape and len(x) <= num_steps for x, y in minibatches)
    assert all(((x + 1) % n == y).all() for x, y in minibatches)
    for (before, _), (after, _) in pairwise(minibatches):
        assert ((before[-1] + 1) % n == after[0]).all()
    lanes = torch.cat([x for x, _ in minibatches])
    assert ((lanes[-1, :-1] + 1) % n == lanes[0, 1:]).all(), "the next lane starts where a lane ends"
    read = lanes.t().flatten().tolist()
    assert read[:n] == list(range(n))
    assert len(read) - n < batch_size, "only the end is filled up"


@given(**SIZES, seed=st.integers(0, 2**63 - 1))
def test_random_windows_never_overlap(n: int, batch_size: int, num_steps: int, seed: int) -> None:
    if n <= num_steps:
        return
    generator = torch.Generator().manual_seed(seed)
    minibatches = list(random(torch.arange(n), batch_size, num_steps, generator))
    assert len(minibatches) == num_random(n, batch_size, num_steps)
    assert all((x + 1 == y).all() and len(x) == num_steps for x, y in minibatches)
    assert all(x.shape[1] == batch_size for x, _ in minibatches[:-1])
    windows = torch.cat([x for x, _ in minibatches], dim=1)
    assert ((windows[1:] - windows[:-1]) == 1).all()
    used = windows.flatten().sort().values
    assert (used.diff() == 1).all(), "no character twice, none between two windows left out"
    assert len(used) == (n - 1) // num_steps * num_steps, "only the documented remainder is not used"


def test_random_order_is_a_function_of_the_seed() -> None:
    def order(seed: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        return [x.flatten().tolist() for x, _ in random(torch.arange(200), 4, 5, generator)]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_random_starts_are_drawn_anew_each_epoch() -> None:
    generator = torch.Generator().manual_seed(0)
    epochs = [torch.cat([x for x, _ in random(torch.arange(99), 2, 10, generator)], 1)[0] for _ in range(20)]
    assert len({tuple(starts.tolist()) for starts in epochs}) == 20
    assert len({int(starts.min()) for starts in epochs}) > 3


def test_too_short_a_text_is_an_error_that_names_the_key() -> None:
    with pytest.raises(RefrainError, match=r"4 characters and needs 10: lower train\.batch_size"):
        list(consecutive(torch.arange(4), 5, 2))
    with pytest.raises(RefrainError, match=r"lower train\.num_steps"):
        list(random(torch.arange(4), 5, 4, torch.Generator()))


@given(**SIZES, block=st.integers(1, 40), stretch=st.integers(1, 60), first=st.integers(0, 5))
def test_minibatches_are_the_same_however_the_text_is_read(
    n: int, batch_size: int, num_steps: int, block: int, stretch: int, first: int
) -> None:
    for name, sampling in SAMPLINGS.items():
        if n < 2 * batch_size or not sampling.count(n, batch_size, num_steps):
            continue

        def minibatches(first: int = 0) -> list[batches.Minibatch]:
            generator = torch.Generator().manual_seed(3)
            selection = Selection(first)
            return list(sampling.minibatches(np.arange(n), batch_size, num_steps, generator, selection))  # noqa: B023

        whole = minibatches()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batches, "READ_AHEAD_STEPS", block)
            patch.setattr(batches, "NEARBY_CHARACTERS", stretch)
            pieces = minibatches(first)
        assert len(pieces) == max(len(whole) - first, 0), name
        for (x, y), (x_whole, y_whole) in zip(pieces, whole[first:], strict=True):
            assert torch.equal(x, x_whole), name
            assert torch.equal(y, y_whole), name


@given(n=st.integers(5, 90), data=st.data())
def test_gathered_windows_are_those_of_the_ring(n: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, n // 2))
    starts = np.array(data.draw(st.lists(st.integers(0, n + n // 2 - 1), min_size=1)))
    starts = starts[starts + count <= 2 * n]
    expected = (starts + np.arange(count)[:, None]) % n
    if len(starts):
        assert (gather(np.arange(n), starts, count) == expected).all()
