"""Generated text in readable form. What reads it is a terminal or a Markdown viewer."""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from pipeline.evaluation.recitation import GRAM, Figures, Recitation, means
from pipeline.visible import visible


def decoding_name(row: dict[str, Any]) -> str:
    """How a sample was decoded, in words."""
    if not row["temperature"]:
        return "greedy"
    parts = [f"temperature {row['temperature']:g}"]
    parts += [f"{key.replace('_', '-')} {row[key]:g}" for key in ("top_k", "top_p") if row[key] is not None]
    return ", ".join(parts)


def mean_recited(rows: Iterable[dict[str, Any]]) -> Figures:
    """How much of some samples is recited on average."""
    return means([Recitation(**row["recited"]) for row in rows])


def in_words(figures: Figures) -> str:
    """How much of a text is recited, in words."""
    longest, share = f"{figures['longest']:,.1f}".removesuffix(".0"), figures["share"]
    return f"longest run {longest}" + ("" if share is None else f", share {share:.1%}")


def about_recitation(of_held_out: Figures | None) -> str:
    """What the figures mean, and those of the held-out text, if it has any."""
    meaning = (
        "Recited is what stands in the training text character for character: the longest such run of a "
        f"sample, prefix aside, and the share of its {GRAM}-character strings that stand there."
    )
    if not of_held_out:
        return meaning
    return f"{meaning} Held-out passages of the same length, on average: {in_words(of_held_out)}."


def samples_markdown(rows: Iterable[dict[str, Any]], of_held_out: Figures | None) -> str:
    """All samples, with a heading for each model and decoding, and prefixes in bold."""
    lines = ["# Samples", "", about_recitation(of_held_out)]
    for (model, decoding), group in groupby(rows, key=lambda row: (row["model"], decoding_name(row))):
        samples = list(group)
        lines += ["", f"## {model}, {decoding}", ""]
        lines += [f"Recited on average: {in_words(mean_recited(samples))}.", ""]
        lines += [f"- <b>{escaped(row['prefix'])}</b>{escaped(row['text'])}" for row in samples]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """A text, escaped so that Markdown shows it unchanged."""
    return re.sub(r"([\\`*_\[\]<>#|&~])", r"\\\1", one_line(text))


def one_line(text: str) -> str:
    """A text with slashes for line breaks, as in quoted verse, and symbols for other control characters."""
    return visible(text.replace("\n", " / "))
