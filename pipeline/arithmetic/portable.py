"""Whether results have the same bits on every x86-64 processor, and what computed them if they have not."""

import logging
import os
import platform
from pathlib import Path

import torch

from pipeline.arithmetic import products

log = logging.getLogger(__name__)

PORTABLE = "any x86-64 processor with AVX2"
"""Says, in a model's metadata, that each of these would have computed the same bits."""


def fix_arithmetic(device: torch.device, precision: str) -> None:
    """Compute the same bits as every x86-64 processor with AVX2, if ``device`` and ``precision`` allow it.

    That takes float32 products of full precision on the CPU, and must come before PyTorch's first operation,
    which chooses the vector width. A processor without AVX2 gets a line in the log.
    """
    is_wanted = device.type == "cpu" and precision == "highest" and platform.machine() in ("x86_64", "AMD64")
    if is_wanted:
        if torch.cpu._is_avx2_supported():  # PyTorch takes the variable's word for it
            os.environ.setdefault("ATEN_CPU_CAPABILITY", "avx2")
        width = torch.backends.cpu.get_cpu_capability()
        if width != "AVX2":
            log.warning("results are not portable: this processor computes with %s, not AVX2", width)
            is_wanted = False
    products.fix_order(is_wanted)


def computed_by(device: torch.device, precision: str) -> str:
    """What the last bits of results depend on: :data:`PORTABLE`, or the device and the precision."""
    if products.order_is_fixed():
        return PORTABLE
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif device.type == "cpu":
        name = f"{processor_vendor()} {torch.backends.cpu.get_cpu_capability()}"
    else:
        name = f"{platform.machine()} {device.type}"
    return name if precision == "highest" else f"{name}, precision {precision}"


def processor_vendor() -> str:
    """The processor's maker as Linux names it (``AuthenticAMD``), else the machine's type (``arm64``)."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    return named.get("vendor_id", platform.machine())
