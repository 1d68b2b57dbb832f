"""Learning curves of all models in one chart: SVG that needs no scripts and no network."""

import re
from pathlib import Path

import altair as alt
import pandas as pd
import vl_convert as vlc

from pipeline.arithmetic.rounding import format_perplexity

FONT = "Liberation Sans"
"""A font that comes with the renderer, so that a chart has the same bytes on every machine."""


def read_curves(folder: Path, models: list[str]) -> pd.DataFrame:
    """A table with columns ``model``, ``split``, ``step``, ``perplexity``, read from DVCLive's files."""
    frames = [pd.DataFrame(columns=["step", "perplexity", "model", "split"])]
    for model in models:
        for split in ("train", "valid"):
            path = folder / model / "plots" / "metrics" / split / "perplexity.tsv"
            if path.exists():
                frames.append(pd.read_csv(path, sep="\t").assign(model=model, split=split))
    return pd.concat(frames[1:] or frames, ignore_index=True)


def learning_curves(curves: pd.DataFrame, models: list[str]) -> str:
    """Perplexity by step on a logarithmic axis, as SVG: one colour per model, dashes for validation.

    Each value is also an invisible point with a label in words, which browsers show where one points at it.
    """
    columns = curves[["step", "perplexity", "model", "split"]]
    words = [
        f"{row['model']}, {row['split']}, step {row['step']:,}: {format_perplexity(row['perplexity'])}"
        for row in columns.to_dict("records")
    ]
    chart = alt.Chart(columns.assign(words=words)).encode(
        x=alt.X("step:Q", title="step", axis=alt.Axis(grid=False, tickMinStep=1)),
        y=alt.Y("perplexity:Q", title="perplexity", scale=alt.Scale(type="log", nice=False)),
    )
    lines = chart.mark_line(strokeWidth=2).encode(
        color=alt.Color("model:N", sort=models, title="model", scale=alt.Scale(scheme="tableau10")),
        strokeDash=alt.StrokeDash("split:N", sort=["train", "valid"], title="split"),
    )
    points = chart.mark_point(filled=True, color="#000", size=300, opacity=0).encode(description="words:N")
    svg = to_svg((lines + points).properties(width=620, height=300))
    return re.sub(r'(<path aria-label="([^"]*)"[^>]*="point"[^>]*)/>', r"\1><title>\2</title></path>", svg)


def to_svg(chart: alt.TopLevelMixin) -> str:
    """A chart as SVG, in the style that all our charts share."""
    chart = (
        chart.properties(background="white")
        .configure(font=FONT)
        .configure_view(strokeWidth=0)
        .configure_axis(
            gridColor="#e5e5e5", domainColor="#888", tickColor="#888", labelFontSize=12, titleFontSize=12
        )
        .configure_legend(labelFontSize=12, titleFontSize=12, symbolSize=250)
    )
    return str(vlc.vegalite_to_svg(chart.to_json(), vl_version=alt.SCHEMA_VERSION.rpartition(".")[0]))
