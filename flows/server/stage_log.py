"""A stage's output as a task run's log, and a training's progress as an artifact."""

import time
from typing import cast
from uuid import UUID

from httpx import HTTPError
from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from flows.server.names import slug
from pipeline.training.progress_line import parse

PROGRESS_SECONDS = 1
"""Least time between two updates of an artifact. Each update waits for the server."""


class StageLog:
    """Passes a stage's output on to the log, and a training's progress to an artifact.

    If the server does not take the progress, it is not shown, and the training goes on.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._log = get_run_logger()
        self._artifact: UUID | None = None
        self._last_update = 0.0

    def write_line(self, line: str) -> None:
        """Log one line, and show the progress in it, if any."""
        self._log.info(line)
        progress = parse(line)
        if not progress:
            return
        if self._artifact is None or time.monotonic() - self._last_update >= PROGRESS_SECONDS:
            self._last_update = time.monotonic()
            self._show(100 * progress.epoch / progress.epochs, line)

    def finish(self) -> None:
        """Show that the stage has ended; early stopping may have ended a training before its last epoch."""
        if self._artifact is not None:
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
            self._log.warning("progress is not shown: %s", error)
