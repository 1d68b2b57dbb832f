"""One stage, run by DVC in processes of its own.

DVC holds its repository's lock while it looks and writes, and lets go of it while a stage's command runs:
with ``--wait-for-lock``, stages run side by side and their entries in ``dvc.lock`` follow one another.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import TransientError, RefrainError

STOP_SECONDS = 20
"""How long a stopped stage may take to write its checkpoint."""

# Of DVC's errors: a lock, a connection, a killed process, and our own programs' status for what may pass.
MAY_PASS = re.compile(
    r"ERROR: .*(unable to acquire lock|is busy, it is being blocked|connect|timed? ?out"
    r"|exited with (75|137|143|-\d+)\b)",
    re.IGNORECASE,
)


Hear = Callable[[str], None]
"""Gets a command's output line by line."""


@dataclass(frozen=True)
class Outcome:
    """How a stage ended. ``error`` is one line; ``may_pass`` says whether another try may mend it, ``how``
    where it ran or with what.
    """

    seconds: float
    cached: bool = False
    error: str | None = None
    may_pass: bool = False
    stopped: bool = False
    how: str = ""


STOPPED = Outcome(0, error="stopped", stopped=True)


class Runner:
    """Runs stages of the DVC repository in ``folder``, at most ``max_parallel`` at a time."""

    def __init__(self, folder: Path, max_parallel: int) -> None:
        self.folder = folder
        self._slots = threading.Semaphore(max_parallel)
        self._processes: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self.stopped = False

    def repro(self, stage: str, threads: int, force: bool, hear: Hear) -> Outcome:
        """Run ``dvc repro`` for one stage; ``hear`` gets its output line by line."""
        command = ["repro", "--single-item", stage, *(["--force"] if force else [])]
        with self._slots:
            variables = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
            return replace(self.dvc(command, variables, hear), how=f"with {threads} thread(s)")

    def dvc(self, command: list[str], variables: dict[str, str], hear: Hear) -> Outcome:
        """Run a DVC command in a process group of its own, to its end or until :meth:`stop`."""
        started = time.monotonic()
        lines: list[str] = []
        with self._lock:
            if self.stopped:
                return STOPPED
            process = subprocess.Popen(
                [sys.executable, "-m", "dvc", "--wait-for-lock", *command],
                cwd=self.folder,
                env=environment() | variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._processes.add(process)
        assert process.stdout is not None
        # The output ends when the last process of the group has closed it, not when DVC itself is gone.
        for line in process.stdout:
            if line.strip():
                lines.append(line.rstrip())
                hear(lines[-1])
        status = process.wait()
        process.stdout.close()
        with self._lock:
            self._processes.discard(process)
        seconds = time.monotonic() - started
        if self.stopped:
            return STOPPED
        if status:
            error, may_pass = what_went_wrong(lines, status), self.may_pass(lines, status)
            return Outcome(seconds, error=error, may_pass=may_pass)
        return Outcome(seconds, cached=any("didn't change, skipping" in line for line in lines))

    @staticmethod
    def may_pass(lines: list[str], status: int) -> bool:
        """Whether another try may mend what a DVC command failed for: DVC killed, or one of its errors."""
        return status < 0 or any(MAY_PASS.match(line) for line in lines)

    def stop(self) -> None:
        """Send SIGTERM to all stages' process groups, so that trainings write checkpoints, and wait.

        What has not ended after STOP_SECONDS is killed.
        """
        with self._lock:
            self.stopped = True
            running = list(self._processes)
        for process in running:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and any(_alive(process) for process in running):
            time.sleep(0.05)
        for process in running:
            _signal(process, signal.SIGKILL)


def run_program(arguments: list[str], folder: Path, variables: dict[str, str], hear: Hear) -> None:
    """Run a short program of ours with this Python; :class:`RefrainError` if it fails."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment() | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [*result.stdout.splitlines(), *result.stderr.splitlines()]
    for line in lines:
        hear(line)
    if result.returncode:
        kind = TransientError if result.returncode == os.EX_TEMPFAIL else RefrainError
        raise kind(what_went_wrong(lines, result.returncode))


def what_went_wrong(lines: list[str], status: int) -> str:
    """The stage's own error, or DVC's, from the output of a command that failed."""
    for start in ("error: ", "ERROR: "):
        for line in reversed(lines):
            if line.startswith(start):
                return line.removeprefix(start)
    return " ".join(lines[-3:]) or f"dvc ended with status {status}"


def environment() -> dict[str, str]:
    """Our environment, with this Python's programs first: stages call ``python`` by name."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}


def _signal(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _alive(process: "subprocess.Popen[str]") -> bool:
    """Whether any process of the group is left."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
