"""A stage's output as a task run's log, and a training's progress as an artifact."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from uuid import UUID

from httpx import HTTPError
from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from flows.server.names import slug
from pipeline.errors import first_line
from pipeline.training.progress_report import PROGRESS_FILE, ProgressReport, read_report

PROGRESS_SECONDS = 1
"""Least time between two updates of an artifact. Each update waits for the server."""


class StageLog:
    """Passes a stage's output on to the log, and a training's progress to an artifact.

    If the server does not take the progress, it is not shown, and the training goes on.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._log = get_run_logger()
        self._report_file: Path | None = None
        self._shown: ProgressReport | None = None
        self._artifact: UUID | None = None
        self._last_update = 0.0

    def write_line(self, line: str) -> None:
        """Log one line, and show the progress that the training has reported by then, if any."""
        self._log.info(line)
        if self._report_file is None or time.monotonic() - self._last_update < PROGRESS_SECONDS:
            return
        report = read_report(self._report_file)
        if report and report != self._shown:
            self._shown, self._last_update = report, time.monotonic()
            self._show(100 * report.step / report.steps, str(report))

    @contextmanager
    def progress(self) -> Iterator[Mapping[str, str]]:
        """Show the progress of a training. Gives the environment variable that it needs for its reports."""
        with tempfile.TemporaryDirectory(prefix="refrain-progress-") as folder:
            self._report_file = Path(folder) / "report.json"
            yield {PROGRESS_FILE: str(self._report_file)}
            self._report_file = None
        if self._artifact is not None:  # early stopping may have ended the training before its last epoch
            self._show(100.0, None)

    def _show(self, percent: float, description: str | None) -> None:
        try:
            if self._artifact is None:
                key = f"progress-{slug(self._stage)}"
                self._artifact = cast(
                    UUID, create_progress_artifact(percent, key=key, description=description)
                )
            else:
                update_progress_artifact(self._artifact, percent, description=description)
        except (PrefectException, HTTPError) as error:
            self._log.warning("progress is not shown: %s", first_line(error))
