"""Where the arithmetic runs: device, float32 precision, CPU threads."""

import ctypes
import os
import platform

import torch
from torch import Tensor

from pipeline.errors import RefrainError

CORES = torch.get_num_threads()

COLUMNS_A_THREAD = 12
"""Columns of a time step's product that a thread gets at least: on AMD's processors, MKL sums thinner slices
in another order, whatever its mode. Nor is there anything to gain from threads for so little.
"""


def choose_device(name: str) -> torch.device:
    """The device called ``name``: ``auto`` (cuda, then mps, then cpu), ``cpu``, ``cuda:1``, ``mps``.

    Raises :class:`RefrainError` naming the devices present if it is not one of them.
    """
    present = available_devices()
    if name == "auto":
        order = ("cuda:0", "mps", "cpu")
        return torch.device(next(device for device in order if device in present))
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in present:
        raise RefrainError(
            f"params.yaml: runtime.device: {name!r} is not on this machine, which has: auto, "
            f"{', '.join(present)}"
        )
    return torch.device(wanted)


def available_devices() -> list[str]:
    """The devices of this machine by name, the CPU first."""
    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    return [*devices, "mps"] if torch.backends.mps.is_available() else devices


def set_up(device: torch.device, threads: int | None, precision: str, hidden_size: int) -> None:
    """Fix what the last bits of a result depend on: threads, precision, deterministic algorithms.

    ``threads`` of the CPU, or as many as it has cores, are fewer for a model whose ``hidden_size`` leaves a
    thread less than ``COLUMNS_A_THREAD``. ``precision`` is PyTorch's own: see
    ``torch.set_float32_matmul_precision``.
    """
    torch.set_num_threads(max(1, min(threads or CORES, hidden_size // COLUMNS_A_THREAD)))
    torch.set_float32_matmul_precision(precision)
    if device.type == "cpu":
        _same_products_with_any_threads()
        _first_calls_on_one_thread()
        _keep_freed_memory()
        return  # what we use of it is deterministic, and the switch loads PyTorch's compiler, for a second
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Determinism also fills fresh memory with NaN, to show reads of it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _same_products_with_any_threads() -> None:
    """Have MKL sum in an order that does not depend on the number of threads (its strict CNR mode).

    MKL reads the variable at its first product.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")


def _first_calls_on_one_thread() -> None:
    """Call each of MKL's vector functions that we use once, on one number.

    MKL chooses the code for a function at its first call. Where several threads make that call, one of them
    may get code of low accuracy, in one process out of twenty (pytorch/pytorch#188792).
    """
    for function in (torch.exp, torch.log, torch.sqrt, torch.tanh):
        function(torch.ones(1))


def _keep_freed_memory() -> None:
    """Have the C library keep what is freed for the next minibatch, which needs as much again.

    Returned to the system, each page of it has to be filled with zeros anew: a tenth of a training's time.
    """
    if platform.libc_ver()[0] == "glibc":
        library, trim_threshold, mmap_threshold = ctypes.CDLL(None), -1, -3  # names of <malloc.h>
        library.mallopt(mmap_threshold, 1 << 30)
        library.mallopt(trim_threshold, 1 << 30)


def get_rng_states(device: torch.device) -> dict[str, Tensor]:
    """States of the generators that a run on ``device`` draws from: the CPU's and its own."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_rng_states(device: torch.device, states: dict[str, Tensor]) -> None:
    """Undo :func:`get_rng_states`."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["mps"])


def describe_device(device: torch.device) -> str:
    """The device as a person knows it, for reports of speed."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type
    return f"{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads"
