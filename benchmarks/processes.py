"""Measurements in processes of their own, so that none finds what another one has loaded or allocated."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.errors import RefrainError, TransientError

ERROR = "error: "
"""What the one line begins with in which our programs end (see :mod:`pipeline.program`)."""


def measured_by(*arguments: str) -> Any:
    """What ``python arguments`` prints on its last line, which is JSON.

    Raises :class:`RefrainError` if it fails: with its own error if it ends in one, or else after showing all
    that it wrote to stderr.
    """
    result = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    lines = [line for line in result.stdout.splitlines() if line.strip()]
    if not result.returncode and lines:
        return json.loads(lines[-1])
    reason = "".join(result.stderr.splitlines()[-1:])
    if reason.startswith(ERROR):
        kind = TransientError if result.returncode == TransientError.exit_status else RefrainError
        raise kind(reason.removeprefix(ERROR))
    sys.stderr.write(result.stderr)
    raise RefrainError(f"`python {' '.join(arguments)}` ended with status {result.returncode}")


def peak_megabytes() -> float:
    """Peak resident memory of this process."""
    # Not getrusage: its peak counts the parent's memory at the time of the fork.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
