"""Measurements in processes of their own, so that none finds what another one has loaded or allocated."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.errors import RefrainError


def measured_by(*arguments: str) -> Any:
    """What ``python arguments`` prints on its last line, which is JSON.

    Raises :class:`RefrainError` if it fails; why stands in what it wrote to stderr before.
    """
    result = subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    lines = [line for line in result.stdout.splitlines() if line.strip()]
    if result.returncode or not lines:
        raise RefrainError(f"`python {' '.join(arguments)}` ended with status {result.returncode}")
    return json.loads(lines[-1])


def peak_megabytes() -> float:
    """Peak resident memory of this process."""
    # Not getrusage: its peak counts the parent's memory at the time of the fork.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
