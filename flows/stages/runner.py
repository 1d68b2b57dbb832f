"""Running one stage: the protocol of all runners, and the runner for this machine."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from flows.stages.graph import Stage
from flows.workspace.programs import OnLine, Programs


@dataclass(frozen=True)
class StageResult:
    """What became of a stage, in words. ``is_new`` is false if nothing had to run."""

    is_new: bool
    summary: str


UNCHANGED = StageResult(False, "nothing that it depends on has changed")


class StageRunner(Protocol):
    """Runs stages, from several threads at a time."""

    def run(self, stage: Stage, on_line: OnLine, variables: Mapping[str, str] = {}) -> StageResult:
        """Bring a stage's outputs up to date, and pass on its output line by line.

        ``variables`` are added to the environment of a stage that runs on this machine.

        Raises :class:`RefrainError` with the stage's own error, :class:`TransientError` where another try may
        help, and :class:`Stopped` after :meth:`stop`.
        """

    def stop(self) -> None:
        """End what runs. Trainings write checkpoints. Start nothing more."""


class LocalRunner:
    """Runs stages by DVC in the folder of ``programs``, at most ``max_parallel`` at a time.

    ``threads`` says how many CPU threads each stage may use. With ``force``, unchanged stages run, too.
    """

    def __init__(
        self, programs: Programs, threads: Mapping[str, int], max_parallel: int = 1, force: bool = False
    ) -> None:
        self._programs = programs
        self._threads = threads
        self._slots = threading.Semaphore(max_parallel)
        self._options = ["--force"] if force else []

    def run(self, stage: Stage, on_line: OnLine, variables: Mapping[str, str] = {}) -> StageResult:
        """Run ``dvc repro`` for one stage."""
        threads = self._threads[stage.name]
        variables = {**variables, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        command = ["repro", "--single-item", *self._options, stage.name]
        with self._slots:
            started = time.monotonic()
            lines = self._programs.dvc(*command, on_line=on_line, variables=variables)
            seconds = time.monotonic() - started
        if f"Stage '{stage.name}' didn't change, skipping" in lines:
            return UNCHANGED
        if f"Stage '{stage.name}' is cached - skipping run, checking out outputs" in lines:
            return StageResult(True, f"restored from DVC's run cache in {seconds:.1f} s")
        with_threads = f"with {threads} threads" if threads > 1 else "with 1 thread"
        return StageResult(True, f"ran in {seconds:.1f} s {with_threads}")

    def stop(self) -> None:
        """Stop DVC and the stages that it runs."""
        self._programs.stop()
