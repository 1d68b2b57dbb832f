"""DVC and ``refrain`` as programs. Their exit statuses and error lines become exceptions here.

DVC holds its repository's lock while it looks and writes, and releases it while a stage's command runs: with
``--wait-for-lock``, stages run side by side, and their entries reach ``dvc.lock`` one after the other.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from flows.workspace.parent import ask_to_stop, start_with_parent
from pipeline.errors import TRANSIENT_EXIT_STATUS, RefrainError, TransientError
from pipeline.memory import kills_for_memory
from pipeline.visible import visible

REMOTE_COMMANDS = {"pull", "push", "update"}
"""DVC's commands that talk to another machine, so that another try may help."""

KILLED = re.compile(r"ERROR: .*exited with (137|-9)\b")
"""What DVC says of a stage that was killed by SIGKILL."""

TRANSIENT = re.compile(
    r"ERROR: .*(unable to acquire lock|is busy, it is being blocked|connect|timed? ?out"
    rf"|exited with ({TRANSIENT_EXIT_STATUS}|137|143|-\d+)\b)",
    re.IGNORECASE,
)
"""DVC errors where another try may help: a lock, a connection, a stage that was killed or said so."""

OnLine = Callable[[str], None]
"""Receives a program's output line by line."""


class Stopped(Exception):
    """The run was stopped from outside."""


class Programs:
    """Runs programs in ``folder`` until :meth:`stop`, or until this process is gone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def dvc(self, *arguments: str, on_line: OnLine, variables: Mapping[str, str] | None = None) -> list[str]:
        """Run a DVC command to its end and return its output as lines. Raises as :meth:`_run` does."""
        try:
            program = ["-m", "flows.workspace.dvc_program", "--wait-for-lock"]
            return self._run([*program, *arguments], on_line, variables or {})
        except RefrainError as error:
            raise TransientError(str(error)) if arguments[0] in REMOTE_COMMANDS else error from None

    def refrain(self, *arguments: str, on_line: OnLine) -> list[str]:
        """Run a ``refrain`` command to its end and return its output as lines. Raises as :meth:`_run`."""
        # Not the console script: this one takes the code of the folder.
        return self._run(["-c", "from pipeline.cli import main; main()", *arguments], on_line, {})

    def _run(self, arguments: Sequence[str], on_line: OnLine, variables: Mapping[str, str]) -> list[str]:
        """Run Python with ``arguments``.

        Raises :class:`Stopped` after :meth:`stop`, or what :func:`error_of_program` makes of a failure.
        """
        kills = kills_for_memory()
        with self._lock:
            if self._stopped:
                raise Stopped
            process = self._start(arguments, variables)
            self._processes.add(process)
        lines = []
        assert process.stdout is not None
        # The output ends when the last process of the group has closed it, not when DVC itself is gone.
        for line in process.stdout:
            if line.strip():
                lines.append(visible(line.rstrip(), keep_lines=True))
                on_line(lines[-1])
        status = process.wait()
        process.stdout.close()
        with self._lock:
            self._processes.discard(process)
        if self._stopped:
            raise Stopped
        if status:
            raise error_of_program(lines, status, memory_ran_out=kills_for_memory() > kills)
        return lines

    def _start(self, arguments: Sequence[str], variables: Mapping[str, str]) -> "subprocess.Popen[str]":
        # Stages call `python` by name: this Python's programs come first.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return start_with_parent(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )

    def stop(self) -> None:
        """Stop what runs, so that trainings write checkpoints, and wait. No program starts after this."""
        with self._lock:
            self._stopped = True
            running = list(self._processes)
        for process in running:
            ask_to_stop(process)
        for process in running:
            process.wait()


def error_of_program(lines: Sequence[str], status: int, memory_ran_out: bool = False) -> RefrainError:
    """The exception for a program that printed ``lines`` and ended with ``status``.

    Its message is the stage's own error line, else DVC's, else the last lines. It is a
    :class:`TransientError` if the program was killed, or if its status or DVC's error is a transient one.
    It is none if the kernel killed processes meanwhile because ``memory_ran_out``: it would do so again.
    """
    was_killed = status < 0
    if memory_ran_out and (status == -signal.SIGKILL or any(map(KILLED.match, lines))):
        return RefrainError(
            "killed, because this machine's memory ran out: train a smaller model or minibatch, or fewer "
            "models at a time (max_parallel)"
        )
    is_transient = was_killed or status == TRANSIENT_EXIT_STATUS or any(map(TRANSIENT.match, lines))
    return (TransientError if is_transient else RefrainError)(_message(lines, status))


def _message(lines: Sequence[str], status: int) -> str:
    for start in ("error: ", "ERROR: "):
        for line in reversed(lines):
            if line.startswith(start):
                return line.removeprefix(start)
    return " ".join(lines[-3:]) or f"the program ended with status {status} and said nothing"
