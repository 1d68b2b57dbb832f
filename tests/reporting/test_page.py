"""The pages' colours, and the chart's, in both colour schemes."""

import re
from dataclasses import replace
from itertools import pairwise, product

import pandas as pd
import pytest
from markupsafe import Markup

from pipeline.reporting.charts import learning_curves
from pipeline.reporting.held_out import STEPS, Character, HeldOutText
from pipeline.reporting.page import Page, render
from pipeline.reporting.page.embedded import Embedded

SCHEMES = ("light", "dark")

HELD_OUT = HeldOutText(
    "valid",
    [1, 0, 2],
    [1.0, 2.0],
    {
        "rnn": [
            Character("分", False),
            Character("<unk>", True, 1, "1.20 nats, 30%"),
            Character("↵\n", False, 0, "0.10 nats, 90%"),
        ]
    },
)

PAGE = Page(
    rows=[],
    splits=["train"],
    models=["rnn"],
    curves_svg="",
    embedded=Embedded(Markup('{"chars": [], "models": []}'), [], "", []),
    held_out=HELD_OUT,
    samples=[],
    about_recitation="",
    text_facts={},
    frequent=[],
    provenance={},
    params_yaml="",
    results="results-0",
)


@pytest.fixture(scope="module")
def colours() -> dict[str, dict[str, str]]:
    """The colours that the page's CSS names, by scheme and name."""
    css = render(PAGE).partition("<style>")[2].partition("</style>")[0]
    found = re.findall(r"(?:--|\.)(\w+)(?::| { background:) light-dark\((#\w{6}), (#\w{6})\)", css)
    assert css.count("light-dark(") == len(found)
    return {scheme: {name: pair[i] for name, *pair in found} for i, scheme in enumerate(SCHEMES)}


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    shares = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_of_known_colours() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_can_be_read_on_every_background(colours: dict[str, dict[str, str]], scheme: str) -> None:
    of = colours[scheme]
    steps = [f"step{i}" for i in range(STEPS + 1)]
    assert set(steps) <= set(of)
    pairs = [*product(["text"], [*steps, "paper", "panel"]), *product(["note", "better", "worse"], ["paper"])]
    found = {pair: contrast(*(of[name] for name in pair)) for pair in pairs}
    assert min(found.values()) >= 4.5, found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_step_stands_out_more_than_the_one_before(
    colours: dict[str, dict[str, str]], scheme: str
) -> None:
    of = colours[scheme]
    from_paper = [contrast(of["paper"], of[f"step{i}"]) for i in range(STEPS + 1)]
    assert from_paper == sorted(from_paper)
    assert from_paper[0] == 1
    assert min(b / a for a, b in pairwise(from_paper)) > 1.07


def test_every_colour_of_the_chart_but_its_lines_follows_the_scheme() -> None:
    rows = [{"step": i, "perplexity": 9.0 / i, "model": "rnn", "split": "train"} for i in (1, 2)]
    svg = learning_curves(pd.DataFrame(rows), ["rnn"])
    page = render(replace(PAGE, curves_svg=svg))
    of_lines = {'stroke="#4c78a8"', 'stroke="none"', 'fill="none"', 'fill="transparent"'}
    invisible = {'stroke="#ddd"'}  # a frame of no width
    used = set(re.findall(r'(?:fill|stroke)="[^"]+"', svg)) - of_lines - invisible
    assert used
    assert {colour for colour in used if f".chart [{colour}] {{" not in page} == set()
    assert 'stroke="#ddd" stroke-width="0"' in svg


def test_held_out_text_without_a_script() -> None:
    page = render(PAGE)
    assert 'data-model="rnn"><span>分</span><label class="step1 unk" data-loss="1.20 nats, 30%">' in page
    assert '<input type="radio" name="loss1">&lt;unk&gt;</label><label class="step0"' in page
    assert '<input type="radio" name="loss1">↵\n</label></div>' in page
    for text in ("0 to 1.0", "1.0 to 2.0", "more than a blind guess"):
        assert f">{text}</span>" in page
    assert "<h2>Held-out text" not in render(replace(PAGE, held_out=None))
