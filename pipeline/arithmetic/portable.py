"""Whether results have the same bits on every x86-64 processor, and what computed them if they have not."""

import logging
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import torch

from pipeline.arithmetic import products

log = logging.getLogger(__name__)

PORTABLE = "any x86-64 processor with AVX2"
"""Says, in a model's metadata, that each of these would have computed the same bits."""


def fix_arithmetic(device: torch.device, precision: str) -> None:
    """Compute the same bits as every x86-64 processor with AVX2, if ``device`` and ``precision`` allow it.

    Otherwise says why not, if the device is an x86-64 processor. Must come before PyTorch's first operation,
    which chooses the vector width.
    """
    processor = torch.cpu.get_capabilities()
    is_x86 = device.type == "cpu" and processor["architecture"] == "x86_64"
    reason = _reason_against(processor, precision) if is_x86 else ""
    if reason:
        log.warning("results are not portable: %s", reason)
    products.fix_order(is_x86 and not reason)


def _reason_against(processor: Mapping[str, object], precision: str) -> str:
    """Why an x86-64 processor computes bits of its own; empty if it does not."""
    if precision != "highest":
        return f"the precision of products is {precision}, not highest"
    if not (processor["avx2"] and processor["fma3"]):
        return "this processor has no AVX2"
    os.environ.setdefault("ATEN_CPU_CAPABILITY", "avx2")
    width = torch.backends.cpu.get_cpu_capability()
    return "" if width == "AVX2" else f"PyTorch computes with {width}, not AVX2"


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
