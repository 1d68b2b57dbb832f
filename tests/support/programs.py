"""Programs of this project, run in another folder."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.project import ROOT


def run_program_of_root(module: str, *arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run ``python -m module`` of this project in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
