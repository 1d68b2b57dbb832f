"""The HTML report: one self-contained page, on which the models write."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pipeline import artifacts
from pipeline.params.corpus import HELD_OUT
from pipeline.reporting.held_out import HeldOutText
from pipeline.reporting.html import render_template
from pipeline.reporting.page.embedded import Embedded
from pipeline.reporting.samples import decoding_name, in_words
from pipeline.reporting.tables import Row

FOLDER = Path(__file__).parent

SCRIPTS = ("model.js", "decoding.js", "refrain.js", "view.js")
"""In the order in which they use each other."""


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
    embedded: Embedded
    held_out: HeldOutText | None
    samples: Sequence[tuple[str, str, dict[str, Sample]]]
    about_recitation: str
    text_facts: dict[str, str]
    frequent: Sequence[tuple[str, str]]
    provenance: dict[str, str]
    params_yaml: str
    results: str


def render(page: Page) -> str:
    """The page as HTML. Everything is escaped except the chart, and hidden characters are shown.

    The browser runs no script but the page's own, and loads nothing but the changes.
    """
    style = render_template("page/style.css.j2") + _read("page.css")
    script = "".join(map(_read, SCRIPTS))
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
        "object-src 'self' file:; frame-src 'self' file:; base-uri 'none'; form-action 'none'"
    )
    return render_template(
        "page/page.html.j2", page=page, style=Markup(style), script=Markup(script), policy=policy
    )


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    """The content of a script or style, as a Content-Security-Policy names it."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


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
