"""The HTML report: one self-contained page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.reporting.samples import decoding_name
from pipeline.reporting.tables import Row


@dataclass(frozen=True)
class Page:
    """All that the page shows. ``samples`` maps (prefix, decoding) to the text of each model."""

    rows: Sequence[Row]
    splits: Sequence[str]
    models: Sequence[str]
    curves_svg: str
    samples: Sequence[tuple[str, str, dict[str, str]]]
    text_facts: dict[str, str]
    frequent: Sequence[tuple[str, str]]
    provenance: dict[str, str]
    params_yaml: str


def render(page: Page) -> str:
    """The page as HTML, everything escaped but the chart."""
    environment = Environment(
        loader=PackageLoader("pipeline.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(page=page)


def samples_side_by_side(rows: list[dict[str, Any]]) -> list[tuple[str, str, dict[str, str]]]:
    """Group samples by prefix and decoding: ``(prefix, decoding, {model: text})``."""

    def key(row: dict[str, Any]) -> tuple[str, str]:
        return row["prefix"], decoding_name(row)

    keys = dict.fromkeys(map(key, rows))  # each once, in order
    return [(*k, {row["model"]: row["text"] for row in rows if key(row) == k}) for k in keys]
