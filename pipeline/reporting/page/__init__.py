"""The HTML report: one self-contained page."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.reporting.samples import decoding_name, in_words
from pipeline.reporting.tables import Row
from pipeline.visible import visible


@dataclass(frozen=True)
class Sample:
    """A text after its prefix, and how much of it is recited, in words."""

    text: str
    recited: str


@dataclass(frozen=True)
class Page:
    """All that the page shows. Each of ``samples`` has a prefix, a decoding, and the sample of each model."""

    rows: Sequence[Row]
    splits: Sequence[str]
    models: Sequence[str]
    curves_svg: str
    samples: Sequence[tuple[str, str, dict[str, Sample]]]
    about_recitation: str
    text_facts: dict[str, str]
    frequent: Sequence[tuple[str, str]]
    provenance: dict[str, str]
    params_yaml: str


def render(page: Page) -> str:
    """The page as HTML. Everything is escaped except the chart, and hidden characters are shown."""
    environment = Environment(
        loader=PackageLoader("pipeline.reporting.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    return environment.get_template("page.html.j2").render(page=page)


def _visible(value: Any) -> Any:
    """Texts without characters that would hide or reorder what stands around them."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return visible(value, keep_lines=True) if is_text else value


def samples_side_by_side(rows: list[dict[str, Any]]) -> list[tuple[str, str, dict[str, Sample]]]:
    """The samples of all models for each prefix and decoding: ``(prefix, decoding, {model: sample})``.

    In ``rows``, the samples of a model are adjacent, and all models have them in the same order.
    """

    by_model = [list(group) for _, group in groupby(rows, key=lambda row: str(row["model"]))]
    return [
        (
            same[0]["prefix"],
            decoding_name(same[0]),
            {row["model"]: Sample(row["text"], in_words(row["recited"])) for row in same},
        )
        for same in zip(*by_model, strict=True)
    ]
