"""Faults that tests bring about."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def one_line(result: "subprocess.CompletedProcess[str]") -> str:
    """The one line of a program that met an error."""
    assert result.returncode in (1, 75, 255), result.stderr  # the last is DVC's
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return line


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A disk of its own, this large, for a folder and what is in it."""
    kept = folder.with_name(f"{folder.name}.kept")
    folder.mkdir(exist_ok=True)
    shutil.copytree(folder, kept)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        shutil.rmtree(kept)
        pytest.skip("only root may mount a small disk")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        yield
    finally:
        left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        subprocess.run(["umount", str(folder)], check=True)
        shutil.rmtree(kept)
        assert not [name for name in left if name.endswith(".tmp")], "half-written files are taken away"
