"""The HTML report: one self-contained page."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pipeline import artifacts
from pipeline.params.corpus import HELD_OUT
from pipeline.reporting.held_out import HeldOutText
from pipeline.reporting.html import render_template
from pipeline.reporting.samples import decoding_name, in_words
from pipeline.reporting.tables import Row


@dataclass(frozen=True)
class Sample:
    """A text after its prefix, and how much of it is recited, in words."""

    text: str
    recited: str


@dataclass(frozen=True)
class Page:
    """All that the page shows. Each of ``samples`` has a prefix, a decoding, and the sample of each model.

    ``results`` is what :func:`results_id` says. If there is a page with changes of other results, it says so.
    """

    rows: Sequence[Row]
    splits: Sequence[str]
    models: Sequence[str]
    curves_svg: str
    held_out: HeldOutText | None
    samples: Sequence[tuple[str, str, dict[str, Sample]]]
    about_recitation: str
    text_facts: dict[str, str]
    frequent: Sequence[tuple[str, str]]
    provenance: dict[str, str]
    params_yaml: str
    results: str


def render(page: Page) -> str:
    """The page as HTML. Everything is escaped except the chart, and hidden characters are shown."""
    return render_template("page/page.html.j2", page=page)


def results_id(models: Iterable[str]) -> str:
    """A name of what comparisons are made of: the losses of ``models`` in the workspace."""
    paths = (artifacts.losses_path(model, split) for model in models for split in HELD_OUT)
    digests = "".join(artifacts.file_sha256(path) for path in paths if path.exists())
    return f"results-{hashlib.sha256(digests.encode()).hexdigest()[:12]}"


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
