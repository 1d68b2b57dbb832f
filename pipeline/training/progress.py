"""Progress of a training: a bar on a terminal, a line now and then in a log; speed goes to a file."""

import sys
import time
from pathlib import Path

from tqdm import tqdm

from pipeline.artifacts import write_json
from pipeline.training.progress_report import ProgressReport, send_report
from pipeline.training.state import Evaluation
from pipeline.visible import visible

LOG_SECONDS = 10
"""An evaluation without samples writes a line to the log only if the last line is at least this old."""


class Progress:
    """Shows how far a training has come, and measures its speed."""

    def __init__(self, model: str, epochs: int, prefixes: list[str]) -> None:
        self._model, self._epochs, self._prefixes = model, epochs, prefixes
        self._bar: tqdm | None = None  # type: ignore[type-arg]
        self._characters = 0
        self._resumed = False
        self._started = self._logged = time.monotonic()

    def start(self, steps: int, steps_done: int) -> None:
        """Start counting, with ``steps_done`` of ``steps`` steps already done."""
        self._resumed = steps_done > 0
        self._steps, self._first_step = steps, steps_done
        self._bar = tqdm(
            desc=self._model,
            total=steps,
            initial=steps_done,
            unit="step",
            disable=not sys.stderr.isatty(),
            leave=False,
        )
        self._started = self._logged = time.monotonic()

    def step(self, characters: int, loss: float | None) -> None:
        """Count one step. ``loss`` is the epoch's mean so far, or None if it was not read."""
        self._characters += characters
        if self._bar is not None:
            self._bar.update()
            if loss is not None:
                self._bar.set_postfix(nats=f"{loss:.3f}", refresh=False)

    def evaluation(self, evaluation: Evaluation) -> None:
        """Report an evaluation. Those before the checkpoint from which training resumes are ignored."""
        if self._bar is None:
            return
        now = time.monotonic()
        is_last = evaluation.step == self._steps
        if evaluation.samples or is_last or now - self._logged >= LOG_SECONDS:
            self._logged = now
            report = self._report(evaluation)
            send_report(report)  # first: whoever sees the line finds the report
            self._log(str(report))
            for prefix, text in zip(self._prefixes, evaluation.samples, strict=bool(evaluation.samples)):
                self._log(f"  - {visible(prefix + text)}")

    def close(self, timings: Path | None = None, device: str = "") -> None:
        """Remove the bar and write the speed to ``timings``, if given."""
        if self._bar is not None:
            self._bar.close()
        if timings and self._characters:
            seconds = time.monotonic() - self._started
            figures = {
                "seconds": seconds,
                "characters_per_second": self._speed(),
                "device": device,
                "since_a_checkpoint": self._resumed,
            }
            write_json(timings, figures)

    def _report(self, evaluation: Evaluation) -> ProgressReport:
        seconds = time.monotonic() - self._started
        done = evaluation.step - self._first_step
        return ProgressReport(
            model=self._model,
            epoch=evaluation.epoch,
            epochs=self._epochs,
            step=evaluation.step,
            steps=self._steps,
            train_perplexity=evaluation.train_perplexity,
            valid_perplexity=evaluation.valid_perplexity,
            characters_per_second=self._speed(),
            seconds=seconds,
            seconds_left=seconds / done * (self._steps - evaluation.step),
        )

    def _speed(self) -> float:
        return self._characters / max(time.monotonic() - self._started, 1e-9)

    def _log(self, line: str) -> None:
        # tqdm.write moves the bar out of the way.
        tqdm.write(line, file=sys.stderr)
