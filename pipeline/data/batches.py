"""Minibatches for truncated backpropagation through time.

All sampling methods yield pairs ``(inputs, labels)`` of int64 tensors ``(num_steps, batch_size)``. Labels are
the inputs shifted by one character: ``labels[t]`` follows ``inputs[t]`` in the text. At any time, memory
holds at most :data:`READ_AHEAD_STEPS` characters of each lane.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.text import Integers, Text
from pipeline.errors import RefrainError

Minibatch = tuple[Tensor, Tensor]
CPU = torch.device("cpu")

READ_AHEAD_STEPS = 1 << 16
"""How many characters of each lane are read at a time."""

NEARBY_CHARACTERS = 1 << 20
"""Windows in the same block of this many characters are read together, if no long gap separates them."""


@dataclass(frozen=True)
class Selection:
    """What to read of an epoch, and the ``device`` to put it on.

    Reading starts at minibatch number ``first`` (from 0). Given the number of lanes of a minibatch, ``share``
    returns the slice of them to read.
    """

    first: int = 0
    share: Callable[[int], slice] = slice
    device: torch.device = CPU


WHOLE_EPOCH = Selection()


@dataclass(frozen=True)
class Sampling:
    """A way to cut a text into ``minibatches``, and to ``count`` the minibatches of an epoch.

    ``carries_state``: each minibatch starts in the hidden state in which the previous one ended. ``is_ring``:
    each epoch starts every lane in the hidden state in which the lane before it ended, and now and then a
    lane starts in the zero state instead (see docs/definitions.md).
    """

    minibatches: Callable[[Text, int, int, torch.Generator, Selection], Iterator[Minibatch]]
    count: Callable[[int, int, int], int]
    carries_state: bool = False
    is_ring: bool = False


def consecutive(
    text: Text,
    batch_size: int,
    num_steps: int,
    _: torch.Generator | None = None,
    selection: Selection = WHOLE_EPOCH,
) -> Iterator[Minibatch]:
    """Consecutive (sequential) sampling: each minibatch continues where the previous one ended.

    The text of ``n`` characters is cut into ``batch_size`` lanes of ``ceil(n / batch_size)`` characters. Each
    lane is one column of the minibatch and starts where the lane before it ends. The text is read as a ring,
    so no character is lost. If ``n`` is not a multiple of ``batch_size``, the last lanes are filled up with
    fewer than ``batch_size`` characters from the start of the text. The label of the text's last character is
    its first character. The last minibatch has only the steps that are left.
    """
    if len(text) < 2 * batch_size:
        raise RefrainError(_too_short(len(text), 2 * batch_size, "train.batch_size"))
    length = _lane_length(len(text), batch_size)
    begins = length * np.arange(batch_size)[selection.share(batch_size)]
    return lanes(text, begins, range(selection.first * num_steps, length), num_steps, selection.device)


def num_consecutive(characters: int, batch_size: int, num_steps: int) -> int:
    """How many minibatches :func:`consecutive` yields."""
    return -(-_lane_length(characters, batch_size) // num_steps)


def classic_consecutive(
    text: Text,
    batch_size: int,
    num_steps: int,
    _: torch.Generator | None = None,
    selection: Selection = WHOLE_EPOCH,
) -> Iterator[Minibatch]:
    """Consecutive sampling as in the textbook (Zhang et al., Dive into Deep Learning, first edition).

    Each lane has ``floor(n / batch_size)`` characters, and each minibatch takes ``num_steps`` of them. What
    is left over at the end of the text and of the lanes is not used.
    """
    minibatches = num_classic_consecutive(len(text), batch_size, num_steps)
    if not minibatches:
        raise RefrainError(_too_short(len(text), batch_size * (num_steps + 1), "train.batch_size"))
    begins = len(text) // batch_size * np.arange(batch_size)[selection.share(batch_size)]
    steps = range(selection.first * num_steps, minibatches * num_steps)
    return lanes(text, begins, steps, num_steps, selection.device)


def num_classic_consecutive(characters: int, batch_size: int, num_steps: int) -> int:
    """How many minibatches :func:`classic_consecutive` yields."""
    return max(characters // batch_size - 1, 0) // num_steps


def random(
    text: Text,
    batch_size: int,
    num_steps: int,
    generator: torch.Generator,
    selection: Selection = WHOLE_EPOCH,
) -> Iterator[Minibatch]:
    """Random sampling: non-overlapping windows of ``num_steps`` characters, in random order.

    In each epoch, ``generator`` (on the CPU) decides the order of the windows and how many characters to skip
    at the start of the text: fewer than ``num_steps``, and never so many that a window is lost. Characters
    after the last whole window are not used either. The last minibatch may hold fewer windows.
    """
    windows, spare = divmod(len(text) - 1, num_steps)
    if windows < 1:
        raise RefrainError(_too_short(len(text), num_steps + 1, "train.num_steps"))
    offset = int(torch.randint(min(spare + 1, num_steps), (), generator=generator))
    order = torch.randperm(windows, generator=generator).numpy()
    return _windows(text, order, offset, batch_size, num_steps, selection)


def num_random(characters: int, batch_size: int, num_steps: int) -> int:
    """How many minibatches :func:`random` yields."""
    return -(-((characters - 1) // num_steps) // batch_size)


def classic_random(
    text: Text,
    batch_size: int,
    num_steps: int,
    generator: torch.Generator,
    selection: Selection = WHOLE_EPOCH,
) -> Iterator[Minibatch]:
    """Random sampling as in the textbook's first edition: the same windows in each epoch, in a new order.

    Windows that do not fill a whole minibatch are left out: different ones in each epoch.
    """
    minibatches = num_classic_random(len(text), batch_size, num_steps)
    if not minibatches:
        raise RefrainError(_too_short(len(text), batch_size * num_steps + 1, "train.batch_size"))
    order = torch.randperm((len(text) - 1) // num_steps, generator=generator).numpy()
    return _windows(text, order[: minibatches * batch_size], 0, batch_size, num_steps, selection)


def num_classic_random(characters: int, batch_size: int, num_steps: int) -> int:
    """How many minibatches :func:`classic_random` yields."""
    return max(characters - 1, 0) // num_steps // batch_size


SAMPLINGS = {
    "consecutive": Sampling(consecutive, num_consecutive, carries_state=True, is_ring=True),
    "random": Sampling(random, num_random),
    "classic_consecutive": Sampling(classic_consecutive, num_classic_consecutive, carries_state=True),
    "classic_random": Sampling(classic_random, num_classic_random),
}
"""The sampling methods by their names in ``params.yaml``."""


def lanes(
    text: Text, begins: Integers, steps: range, num_steps: int, device: torch.device
) -> Iterator[Minibatch]:
    """Minibatches of the given ``steps`` of lanes that start at characters ``begins``."""
    ahead = max(READ_AHEAD_STEPS // num_steps, 1) * num_steps
    for low in range(steps.start, steps.stop, ahead):
        count = min(ahead, steps.stop - low)
        ids = torch.from_numpy(gather(text, begins + low, count + 1)).to(device)
        for start in range(0, count, num_steps):
            stop = min(start + num_steps, count)
            yield ids[start:stop], ids[start + 1 : stop + 1]


def _windows(
    text: Text, order: Integers, offset: int, batch_size: int, num_steps: int, selection: Selection
) -> Iterator[Minibatch]:
    """Minibatches of the windows numbered ``order``; window 0 starts at character ``offset``."""
    ahead = max(READ_AHEAD_STEPS // num_steps, 1) * batch_size
    for low in range(selection.first * batch_size, len(order), ahead):
        numbers_ahead = order[low : low + ahead]
        starts_of = range(0, len(numbers_ahead), batch_size)
        minibatches = [numbers_ahead[start : start + batch_size] for start in starts_of]
        shares = [numbers[selection.share(len(numbers))] for numbers in minibatches]
        starts = offset + num_steps * np.concatenate(shares)
        windows = torch.from_numpy(gather(text, starts, num_steps + 1)).to(selection.device)
        for ids in windows.split([len(numbers) for numbers in shares], dim=1):
            yield ids[:-1].contiguous(), ids[1:].contiguous()


def gather(text: Text, starts: Integers, count: int) -> Integers:
    """For each of ``starts``, the ``count`` characters that begin there: ``(count, len(starts))``.

    The text is read as a ring: its start follows its end.
    """
    ids = np.empty((count, len(starts)), np.int64)
    order = np.argsort(starts, kind="stable")
    ordered = starts[order]
    apart = np.diff(ordered) > count + READ_AHEAD_STEPS
    full = np.diff(ordered // NEARBY_CHARACTERS) > 0
    for chosen in np.split(order, np.flatnonzero(apart | full) + 1) if len(order) else []:
        low, high = int(starts[chosen[0]]), int(starts[chosen[-1]]) + count
        windows = sliding_window_view(_read(text, low, high), count)
        ids[:, chosen] = windows[starts[chosen] - low].T
    return ids


def _read(text: Text, low: int, high: int) -> NDArray[Any]:
    """Characters ``low`` to ``high`` of the text, read as a ring."""
    if high <= len(text):
        return np.asarray(text[low:high])
    if low >= len(text):
        return np.asarray(text[low - len(text) : high - len(text)])
    return np.concatenate([text[low : len(text)], text[: high - len(text)]])


def _lane_length(characters: int, batch_size: int) -> int:
    return -(-characters // batch_size)


def _too_short(characters: int, needed: int, key: str) -> str:
    return f"the training split has {characters} characters and needs {needed}: lower {key}, or use more text"
