"""The figures of all models and baselines, and the rows of the perplexity table."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import artifacts
from pipeline.arithmetic.rounding import format_perplexity
from pipeline.errors import RefrainError
from pipeline.evaluation.recitation import HELD_OUT_TEXT, Figures
from pipeline.params.corpus import SPLITS
from pipeline.params.load import BASELINES
from pipeline.reporting.samples import decoding_name, mean_recited

Metrics = dict[str, dict[str, dict[str, Any]]]
"""Figures by model or baseline, then by split, then by name. ``recited``, beside the splits, is by decoding;
the held-out text has its figures at once.
"""


@dataclass(frozen=True)
class Row:
    """One model or baseline: perplexity and bits per character by split, as text."""

    name: str
    is_baseline: bool
    perplexities: list[str]
    bits: list[str]


def collect_metrics(models: Iterable[str]) -> Metrics:
    """The figures that the stages evaluate, generate and baselines have written, models first."""
    evaluated = {name: read_json(artifacts.evaluation_path(name))["splits"] for name in models}
    for name, figures in evaluated.items():
        figures["recited"] = recited_by_decoding(read_lines(artifacts.samples_path(name)))
    return {**evaluated, **read_json(artifacts.BASELINES)}


def recited_by_decoding(samples: Iterable[dict[str, Any]]) -> dict[str, Figures]:
    """How much of a model's samples is recited on average."""
    by_decoding: dict[str, list[dict[str, Any]]] = {}
    for row in samples:
        by_decoding.setdefault(decoding_name(row), []).append(row)
    return {name: mean_recited(rows) for name, rows in by_decoding.items()}


def perplexities(metrics: Metrics, models: Iterable[str]) -> dict[str, dict[str, float]]:
    """One figure for each model and split, for DVC's tables."""
    return {
        name: {split: metrics[name][split]["perplexity"] for split in SPLITS if split in metrics[name]}
        for name in models
    }


def splits_of(metrics: Metrics) -> list[str]:
    """The splits that have figures, in order."""
    return [split for split in SPLITS if split in metrics[BASELINES[0]]]


def perplexity_rows(metrics: Metrics) -> list[Row]:
    """The rows of all models, then of the baselines."""
    splits = splits_of(metrics)
    names = [name for name in metrics if name not in (*BASELINES, HELD_OUT_TEXT)]
    names += [name for name in BASELINES if name in metrics]  # earlier versions have fewer of them
    return [
        Row(
            _title(name, metrics[name][splits[0]]),
            name in BASELINES,
            [perplexity_and_interval(metrics[name][split]) for split in splits],
            [f"{metrics[name][split]['bits_per_character']:.3f}" for split in splits],
        )
        for name in names
    ]


def perplexity_and_interval(figures: dict[str, float]) -> str:
    """Perplexity, followed by its 95% interval if it has one that is not a point."""
    perplexity = format_perplexity(figures["perplexity"])
    low, high = figures.get("perplexity_low"), figures.get("perplexity_high")
    if low is None or high is None or low == high:
        return perplexity
    return f"{perplexity} ({low:,.3g} to {high:,.3g})"


def _title(name: str, figures: dict[str, float]) -> str:
    """The name in tables: that of n-grams has their order."""
    return f"{figures['order']:.0f}-gram" if name == "ngram" and "order" in figures else name


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raise :class:`RefrainError` if it is missing or damaged."""
    return _parse(path, _read(path))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All rows of a JSON-lines file. Raise :class:`RefrainError` if it is missing or damaged."""
    # Not splitlines(), which would also split at Unicode line separators inside a text.
    return [_parse(path, line) for line in _read(path).split("\n") if line]


def _parse(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise RefrainError(f"{path} is damaged ({error}): delete it and run `dvc repro`") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RefrainError(f"{path} is missing: run `dvc repro`") from None
