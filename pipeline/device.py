"""Where the arithmetic runs: device, float32 precision, CPU threads."""

import ctypes
import os
import platform

import torch
from torch import Tensor

from pipeline.arithmetic.portable import fix_arithmetic
from pipeline.errors import RefrainError
from pipeline.memory import free_memory

CORES = torch.get_num_threads()

COLUMNS_A_THREAD = 12
"""The fewest columns of a time step's matrix product that a thread gets. On AMD processors, MKL sums narrower
slices in another order, whatever its mode. More threads would not be faster for so little work anyway.
"""


def choose_device(name: str) -> torch.device:
    """The device called ``name``: ``auto`` (cuda, then mps, then cpu), ``cpu``, ``cuda:1``, ``mps``.

    Raises :class:`RefrainError`, naming this machine's devices, if it does not have that one.
    """
    present = available_devices()
    if name == "auto":
        order = ("cuda:0", "mps", "cpu")
        return torch.device(next(device for device in order if device in present))
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in present:
        raise RefrainError(
            f"params.yaml: runtime.device: {name!r} is not on this machine: choose from auto, "
            f"{', '.join(present)}"
        )
    return torch.device(wanted)


def available_devices() -> list[str]:
    """The names of this machine's devices, the CPU first."""
    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    return [*devices, "mps"] if torch.backends.mps.is_available() else devices


def free_memory_of(device: torch.device) -> int:
    """How many bytes are free on a device. On CPUs, and on MPS, it is this machine's memory."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()


def set_up(device: torch.device, threads: int | None, precision: str, hidden_size: int) -> None:
    """Set what the last bits of a result may depend on: threads, precision, deterministic algorithms.

    ``threads`` is the number of CPU threads; None means one per core. A model with a small ``hidden_size``
    gets fewer, so that each thread has at least ``COLUMNS_A_THREAD`` columns. ``precision`` is passed to
    ``torch.set_float32_matmul_precision``.
    """
    fix_arithmetic(device, precision)
    torch.set_num_threads(max(1, min(threads or CORES, hidden_size // COLUMNS_A_THREAD)))
    torch.set_float32_matmul_precision(precision)
    if device.type == "cpu":
        _same_products_with_any_threads()
        _first_calls_on_one_thread()
        _keep_freed_memory()
        # The CPU operations that we use are deterministic, and the switch below would load PyTorch's
        # compiler, which takes a second.
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is not deterministic without it
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Deterministic mode would also fill new memory with NaN, which only helps to find bugs.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _same_products_with_any_threads() -> None:
    """Make MKL sum in an order that does not depend on the number of threads (its strict CNR mode).

    MKL reads the variable when it computes its first matrix product.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")


def _first_calls_on_one_thread() -> None:
    """Call each MKL vector function that we use once, on a single number.

    MKL chooses the code for a function at its first call. If several threads make that call at once, one of
    them may get low-accuracy code. That happened in 4 of 100 processes (pytorch/pytorch#188792).
    """
    for function in (torch.exp, torch.log, torch.sqrt, torch.tanh):
        for dtype in (torch.float32, torch.float64):
            function(torch.ones(1, dtype=dtype))


def _keep_freed_memory() -> None:
    """Make the C library keep freed memory for the next minibatch, which needs the same amount.

    If the memory went back to the system, the system would have to zero every page again. That takes a tenth
    of the training time.
    """
    if platform.libc_ver()[0] == "glibc":
        library, trim_threshold, mmap_threshold = ctypes.CDLL(None), -1, -3  # constants from <malloc.h>
        library.mallopt(mmap_threshold, 1 << 30)
        library.mallopt(trim_threshold, 1 << 30)


def get_rng_states(device: torch.device) -> dict[str, Tensor]:
    """The states of the random generators that a run on ``device`` uses: the CPU's and the device's own."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_rng_states(device: torch.device, states: dict[str, Tensor]) -> None:
    """Restore what :func:`get_rng_states` returned."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["mps"])


def describe_device(device: torch.device) -> str:
    """A readable name of the device, for speed reports."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type
    return f"{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads"
