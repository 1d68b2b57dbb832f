"""Training on several processes (ranks): which lanes each has, and how they exchange values.

Every rank has the whole model and a share of the lanes. The sum of the gradients of all ranks is the gradient
of the whole minibatch, so all ranks update their weights in the same way.
"""

import atexit
import ctypes
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from pipeline.errors import RefrainError, is_for_user
from pipeline.program import started_by_torchrun

T = TypeVar("T")

RANK_TIMEOUT = timedelta(hours=2)
"""How long ranks wait for rank 0 to evaluate or write. If a rank dies, the agent stops all others."""


@dataclass(frozen=True)
class Ranks:
    """``size`` processes; this one is number ``rank``. With a single process, every method is free."""

    rank: int = 0
    size: int = 1

    def share(self, count: int) -> slice:
        """This rank's share of ``count`` lanes. Shares differ by at most one lane."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace contiguous tensors of one dtype by their sums over all ranks. All get the same bits."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def any_rank(self, here: bool, device: torch.device) -> bool:
        """Whether ``here`` is true on any rank."""
        if self.size == 1:
            return here
        flag = torch.tensor(float(here), device=device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag.item())

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, in the order of the ranks."""
        if self.size == 1:
            return [value]
        content = _pack(value)
        sizes = [torch.zeros(1, dtype=torch.int64, device=content.device) for _ in range(self.size)]
        dist.all_gather(sizes, torch.tensor([len(content)], device=content.device))
        longest = max(int(size) for size in sizes)
        received = [content.new_zeros(longest) for _ in range(self.size)]
        dist.all_gather(received, torch.nn.functional.pad(content, (0, longest - len(content))))
        return [_unpack(each[: int(size)]) for each, size in zip(received, sizes, strict=True)]

    def on_first_rank(self, compute: Callable[[], T]) -> T:
        """Run ``compute`` on rank 0 and return its result on all ranks. The others wait for it."""
        if self.size == 1:
            return compute()
        content = _pack(compute() if self.rank == 0 else None)
        size = torch.tensor([len(content)], device=content.device)
        dist.broadcast(size, src=0)
        if self.rank:
            content = content.new_empty(int(size))
        dist.broadcast(content, src=0)
        value: T = _unpack(content)
        return value


def _pack(value: object) -> Tensor:
    """A value as bytes, on the device that ranks exchange."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    content = torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8)
    return content.to("cuda" if dist.get_backend() == "nccl" else "cpu")


def _unpack(content: Tensor) -> Any:
    """The value again: tensors and plain values only, so that no stranger's bytes run as code."""
    return torch.load(io.BytesIO(content.cpu().numpy().tobytes()), map_location="cpu", weights_only=True)


ONE_RANK = Ranks()

PR_SET_PDEATHSIG = 1
"""From <sys/prctl.h>: set the signal that this process gets when its parent dies."""

STOP_AGENT_SIGNAL = signal.SIGQUIT
"""The signal that a rank sends to its agent, the process that started it, so that it is not restarted."""


STORE = "REFRAIN_RANKS_STORE"
"""The variable that names the file by which ranks find one another, unless torchrun started them."""


def check_devices(device: torch.device, processes: int) -> None:
    """Raise :class:`RefrainError` if the devices of this kind are too few for so many processes."""
    count = torch.cuda.device_count()
    if device.type != "cpu" and (device.type != "cuda" or processes > count):
        raise RefrainError(
            f"runtime.processes: each process needs its own CUDA device, and this machine has {count}: "
            "lower it, or set runtime.device: cpu"
        )


def device_of_rank(device: torch.device) -> torch.device:
    """The device of this rank. Each rank on a machine gets its own CUDA device.

    Raises :class:`RefrainError` if there are too few CUDA devices.
    """
    if not started_by_torchrun() or device.type == "cpu":
        return device
    number = int(os.environ["LOCAL_RANK"])
    check_devices(device, number + 1)
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


@contextmanager
def join_ranks(device: torch.device) -> Iterator[Ranks]:
    """Connect to the other processes that were started: with NCCL on CUDA, else with gloo.

    An error that users must fix stops all ranks on this machine. After any other error, the agent restarts
    all ranks. If the agent dies, its ranks stop.
    """
    if not started_by_torchrun():
        yield ONE_RANK
        return
    agent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = dist.FileStore(os.environ[STORE], size) if STORE in os.environ else None  # type: ignore[attr-defined]
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=RANK_TIMEOUT, store=store, rank=rank, world_size=size)
    try:
        yield Ranks(rank, size)
    except Exception as error:
        if is_for_user(error):
            if os.getppid() == agent:
                atexit.register(os.kill, agent, STOP_AGENT_SIGNAL)
            if rank:
                time.sleep(3)  # let rank 0 report first: most errors hit all ranks, and one line is enough
        elif isinstance(error, dist.DistError) or "gloo" in str(error):
            sys.exit(1)  # another rank died, and the agent knows it
        raise
    finally:
        dist.destroy_process_group()
