"""Where the arithmetic runs: device, float32 precision, CPU threads."""

import os
import platform

import torch

from pipeline.errors import RefrainError


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
            f"params.yaml: device: {name!r} is not on this machine; it has: auto, {', '.join(present)}"
        )
    return torch.device(wanted)


def available_devices() -> list[str]:
    """The devices of this machine by name, the CPU first."""
    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    return [*devices, "mps"] if torch.backends.mps.is_available() else devices


def set_up(threads: int | None, precision: str) -> None:
    """Fix what the last bits of a result depend on: threads, precision, deterministic algorithms.

    ``precision`` is PyTorch's own: see ``torch.set_float32_matmul_precision``.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    if threads:
        torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Determinism also fills fresh memory with NaN, to show reads of it: half of a CPU's time here.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def describe_device(device: torch.device) -> str:
    """The device as a person knows it, for reports of speed."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads"
