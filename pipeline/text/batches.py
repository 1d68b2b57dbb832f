"""Minibatches for truncated backpropagation through time.

All samplings yield pairs ``(inputs, labels)`` of shape ``(num_steps, batch_size)``, where the labels are
the inputs shifted by one character: ``labels[t]`` follows ``inputs[t]`` in the text.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.errors import RefrainError

Batch = tuple[Tensor, Tensor]


def consecutive(ids: Tensor, batch_size: int, num_steps: int) -> Iterator[Batch]:
    """Consecutive (sequential) sampling: each minibatch goes on where the one before it ended.

    The text ``ids`` ``(n,)`` is cut into ``batch_size`` lanes of ``ceil(n / batch_size)`` characters, one a
    column of the minibatch; the next lane starts where a lane ends. No character is lost: the text is read
    as a ring, so where ``n`` is no multiple of ``batch_size`` the lanes at its end are filled up with its
    beginning (fewer than ``batch_size`` characters for texts long enough), and the label of the text's last
    character is its first one. The last minibatch has as many steps as are left.
    """
    length = _lane_length(len(ids), batch_size)
    if len(ids) < 2 * batch_size:
        raise RefrainError(_too_short(len(ids), 2 * batch_size, "train.batch_size"))
    places = torch.arange(length + 1).unsqueeze(1) + length * torch.arange(batch_size)
    lanes = ids[places.to(ids.device) % len(ids)]
    for start in range(0, length, num_steps):
        end = min(start + num_steps, length)
        yield lanes[start:end], lanes[start + 1 : end + 1]


def num_consecutive(characters: int, batch_size: int, num_steps: int) -> int:
    """How many minibatches :func:`consecutive` yields."""
    return -(-_lane_length(characters, batch_size) // num_steps)


def classic_consecutive(ids: Tensor, batch_size: int, num_steps: int) -> Iterator[Batch]:
    """Consecutive sampling as in the textbook (Zhang et al., Dive into Deep Learning, first edition).

    Each lane has ``floor(n / batch_size)`` characters and each minibatch ``num_steps`` of them; what is left
    over of the text and of the lanes is not used.
    """
    if not num_classic_consecutive(len(ids), batch_size, num_steps):
        raise RefrainError(_too_short(len(ids), batch_size * (num_steps + 1), "train.batch_size"))
    length = len(ids) // batch_size
    lanes = ids[: length * batch_size].view(batch_size, length).t().contiguous()
    for start in range(0, num_classic_consecutive(len(ids), batch_size, num_steps) * num_steps, num_steps):
        end = start + num_steps
        yield lanes[start:end], lanes[start + 1 : end + 1]


def num_classic_consecutive(characters: int, batch_size: int, num_steps: int) -> int:
    """How many minibatches :func:`classic_consecutive` yields."""
    return max(characters // batch_size - 1, 0) // num_steps


def random(ids: Tensor, batch_size: int, num_steps: int, generator: torch.Generator) -> Iterator[Batch]:
    """Random sampling: windows of ``num_steps`` characters in a random order, none overlapping.

    ``generator`` (on the CPU) decides, anew for each epoch, how many characters before the first window
    are passed over (fewer than ``num_steps``, and only as many as leave the number of windows as it is)
    and the order of the windows. Besides these, the characters after the last whole window are not used.
    The last minibatch may hold fewer windows.
    """
    windows, spare = divmod(len(ids) - 1, num_steps)
    if windows < 1:
        raise RefrainError(_too_short(len(ids), num_steps + 1, "train.num_steps"))
    offset = int(torch.randint(min(spare + 1, num_steps), (), generator=generator))
    starts = offset + num_steps * torch.randperm(windows, generator=generator)
    steps = torch.arange(num_steps, device=ids.device).unsqueeze(1)
    for chosen in starts.to(ids.device).split(batch_size):
        inputs = steps + chosen
        yield ids[inputs], ids[inputs + 1]


def classic_random(
    ids: Tensor, batch_size: int, num_steps: int, generator: torch.Generator
) -> Iterator[Batch]:
    """Random sampling as in the textbook's first edition: the same windows each epoch, in another order.

    The windows that fill no whole minibatch are left out, other ones each epoch.
    """
    minibatches = num_classic_random(len(ids), batch_size, num_steps)
    if not minibatches:
        raise RefrainError(_too_short(len(ids), batch_size * num_steps + 1, "train.batch_size"))
    order = torch.randperm((len(ids) - 1) // num_steps, generator=generator)
    starts = num_steps * order[: minibatches * batch_size]
    steps = torch.arange(num_steps, device=ids.device).unsqueeze(1)
    for chosen in starts.to(ids.device).split(batch_size):
        inputs = steps + chosen
        yield ids[inputs], ids[inputs + 1]


def num_classic_random(characters: int, batch_size: int, num_steps: int) -> int:
    """How many minibatches :func:`classic_random` yields."""
    return max(characters - 1, 0) // num_steps // batch_size


def num_random(characters: int, batch_size: int, num_steps: int) -> int:
    """How many minibatches :func:`random` yields."""
    return -(-((characters - 1) // num_steps) // batch_size)


def _lane_length(characters: int, batch_size: int) -> int:
    return -(-characters // batch_size)


def _too_short(characters: int, needed: int, key: str) -> str:
    return f"the training split has {characters} characters and needs {needed}: lower {key}, or use more text"
