"""What a flow hears of a stage."""

import time
from typing import cast
from uuid import UUID

from httpx import HTTPError
from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from flows import results
from pipeline.training.progress_line import parse

PROGRESS_SECONDS = 1
"""Between two updates of an artifact, each of which waits for the server."""


class Listener:
    """Passes a stage's output on to the log, and a training's progress to an artifact.

    A server that does not take the progress costs the picture of it, not the training.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._log = get_run_logger()
        self._artifact: UUID | None = None
        self._told = 0.0

    def line(self, line: str) -> None:
        """Hear one line."""
        self._log.info(line)
        progress = parse(line)
        if not progress:
            return
        if self._artifact is None or time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._told = time.monotonic()
            self._show(100 * progress.epoch / progress.epochs, line)

    def finish(self) -> None:
        """The stage has come to its end: early stopping may have ended it before the last epoch."""
        if self._artifact is not None:
            self._show(100.0, None)

    def _show(self, percent: float, line: str | None) -> None:
        try:
            if self._artifact is None:
                key = f"progress-{results.slug(self._name)}"
                self._artifact = cast(UUID, create_progress_artifact(percent, key=key, description=line))
            else:
                update_progress_artifact(self._artifact, percent, description=line)
        except (PrefectException, HTTPError) as error:
            self._log.warning("progress is not shown: %s", error)
