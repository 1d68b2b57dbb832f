"""The machine that figures are measured on."""

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyarrow as pa
import torch


@dataclass(frozen=True)
class Machine:
    """What decides speed. ``gflops`` and ``gigabytes`` are per second, measured on the cores of the run."""

    processor: str
    cores: int
    gflops: float
    gflops_medium: float
    gigabytes: float


def describe() -> Machine:
    """This machine, measured."""
    return Machine(
        processor=processor_name(),
        cores=len(os.sched_getaffinity(0)),
        gflops=_gflops("highest"),
        gflops_medium=_gflops("medium"),
        gigabytes=_gigabytes(),
    )


def processor_name() -> str:
    """The name of this machine's processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _seconds(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(15):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return median(taken)


def _gflops(precision: str) -> float:
    """Rate of a product of two matrices of 1,024 x 1,024."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    a, out = torch.randn(1024, 1024), torch.empty(1024, 1024)
    seconds = _seconds(lambda: torch.mm(a, a, out=out))
    torch.set_float32_matmul_precision(before)
    return 2 * 1024**3 / seconds / 1e9


def _gigabytes() -> float:
    """Bytes read and written a second by a copy of 64 MB."""
    a = torch.randn(1 << 24)
    out = torch.empty_like(a)
    return 2 * a.nbytes / _seconds(lambda: out.copy_(a)) / 1e9


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process to one core."""
    cores, threads = os.sched_getaffinity(0), pa.cpu_count()
    os.sched_setaffinity(0, {min(cores)})
    pa.set_cpu_count(1)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        pa.set_cpu_count(threads)
