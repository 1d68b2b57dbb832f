"""Training on several processes at once: who has which lanes, and what they tell one another.

Every process (rank) has the whole model and some of the lanes, and computes the gradients of these; added up,
they are those of the whole minibatch, so that all ranks move their weights alike.
"""

import atexit
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from pipeline.errors import RefrainError, can_be_mended

T = TypeVar("T")

PATIENCE = timedelta(hours=2)
"""How long ranks wait for one another: rank 0 evaluates and writes alone. If one dies, the agent ends all."""


@dataclass(frozen=True)
class Ranks:
    """``size`` processes, of which this is number ``rank``. With one, all of it costs nothing."""

    rank: int = 0
    size: int = 1

    def share(self, count: int) -> slice:
        """This rank's share of ``count`` lanes; shares differ by one at most."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace contiguous tensors of one type by their sums over all ranks, the same bits on each."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def any(self, here: bool, device: torch.device) -> bool:
        """Whether it is true on any of the ranks."""
        if self.size == 1:
            return here
        flag = torch.tensor(float(here), device=device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag.item())

    def gather(self, value: T) -> list[T]:
        """What all ranks have, in their order."""
        if self.size == 1:
            return [value]
        values: list[T | None] = [None] * self.size
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def from_first(self, find: Callable[[], T]) -> T:
        """What rank 0 finds; the others wait for it."""
        if self.size == 1:
            return find()
        values = [find() if self.rank == 0 else None]
        dist.broadcast_object_list(values, src=0)
        return values[0]  # type: ignore[return-value]


ALONE = Ranks()

PR_SET_PDEATHSIG = 1
"""Of <sys/prctl.h>: which signal a process gets when the one that started it dies."""

GIVE_UP = signal.SIGQUIT
"""What a rank sends to the agent that started it, which would otherwise start it again."""


def launched() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def local(device: torch.device) -> torch.device:
    """The device of this process, of those of its kind on its machine.

    Raises :class:`RefrainError` if there are not enough of them.
    """
    if not launched() or device.type == "cpu":
        return device
    number, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if device.type != "cuda" or number >= there:
        raise RefrainError(
            f"train.processes: each needs a CUDA device of its own; this machine has {there}: lower it, or "
            "set device: cpu"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


@contextmanager
def join(device: torch.device) -> Iterator[Ranks]:
    """Meet the other processes that torchrun started: over NCCL on CUDA, else over gloo.

    An error that people must mend is the end of all on this machine; after any other, the agent starts all
    again. If the agent dies, so do they.
    """
    if not launched():
        yield ALONE
        return
    agent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    rank = dist.get_rank()
    try:
        yield Ranks(rank, dist.get_world_size())
    except Exception as error:
        if can_be_mended(error):
            if os.getppid() == agent:
                atexit.register(os.kill, agent, GIVE_UP)
            if rank:
                time.sleep(3)  # most errors come to all ranks: one line is enough
        elif isinstance(error, dist.DistError) or "gloo" in str(error):
            sys.exit(1)  # another rank died, and the agent knows
        raise
    finally:
        dist.destroy_process_group()
