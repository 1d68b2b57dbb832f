"""Generated text in readable form. What reads it is a terminal or a Markdown viewer."""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from pipeline.visible import visible


def decoding_name(row: dict[str, Any]) -> str:
    """How a sample was decoded, in words."""
    if not row["temperature"]:
        return "greedy"
    parts = [f"temperature {row['temperature']:g}"]
    parts += [f"{key.replace('_', '-')} {row[key]:g}" for key in ("top_k", "top_p") if row[key] is not None]
    return ", ".join(parts)


def samples_markdown(rows: Iterable[dict[str, Any]]) -> str:
    """All samples, with a heading for each model and decoding, and prefixes in bold."""
    lines = ["# Samples"]
    for (model, decoding), group in groupby(rows, key=lambda row: (row["model"], decoding_name(row))):
        lines += ["", f"## {model}, {decoding}", ""]
        lines += [f"- <b>{_escaped(row['prefix'])}</b>{_escaped(row['text'])}" for row in group]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """A text, escaped so that Markdown shows it unchanged."""
    return re.sub(r"([\\`*_\[\]<>#|&~])", r"\\\1", one_line(text))


def one_line(text: str) -> str:
    """A text with slashes for line breaks, as in quoted verse, and symbols for other control characters."""
    return visible(text.replace("\n", " / "))
