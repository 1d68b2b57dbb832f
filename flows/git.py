"""Git, by its command line."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import RefrainError


def git(folder: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
    """Run git in ``folder`` and return what it printed; :class:`RefrainError` if it fails."""
    environment = {**os.environ, **(variables or {})}
    result = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        reason = " ".join((result.stderr or result.stdout or f"status {result.returncode}").split())
        raise RefrainError(f"git {arguments[0]}: {reason.removeprefix('error: ')}")
    return result.stdout.strip()


def succeeds(folder: Path, *arguments: str) -> bool:
    """Whether a git command succeeds in ``folder``."""
    return not subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False).returncode
