"""Learning curves, written with DVCLive so that ``dvc plots`` and ``dvc metrics`` read them."""

import json
from pathlib import Path
from types import TracebackType

from dvclive.live import Live

from pipeline.arithmetic.rounding import six_digits
from pipeline.artifacts import write_text
from pipeline.training.state import Epoch, Evaluation


class Curves:
    """Writes ``metrics.json``, ``plots/`` and ``samples.jsonl`` to a model's report folder.

    The files contain no times, so the same training writes the same bytes.
    """

    def __init__(self, folder: Path, prefixes: list[str]) -> None:
        self._folder = folder
        self._prefixes = prefixes
        self._samples: list[str] = []
        self._live = Live(str(folder), report=None, dvcyaml=None, save_dvc_exp=False)

    def __enter__(self) -> "Curves":
        return self

    def add_epoch(self, epoch: Epoch) -> None:
        """Add the training perplexity of an epoch."""
        self._live.step = epoch.step
        self._live.log_metric("train/perplexity", six_digits(epoch.train_perplexity))

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Add validation perplexity and samples."""
        self._live.step = evaluation.step
        if evaluation.valid_perplexity is not None:
            self._live.log_metric("valid/perplexity", six_digits(evaluation.valid_perplexity))
        for prefix, text in zip(self._prefixes, evaluation.samples, strict=bool(evaluation.samples)):
            row = {"step": evaluation.step, "prefix": prefix, "text": text}
            self._samples.append(json.dumps(row, ensure_ascii=False) + "\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.make_summary()
        self._live.end()
        write_text(self._folder / "samples.jsonl", "".join(self._samples))
