"""The charts of the pages, as SVG that needs no script and no network."""

from collections.abc import Mapping

import altair as alt
import pandas as pd

from pipeline.reporting.charts import to_svg
from replications.pages.costs import read_costs
from replications.pages.published import read_published
from replications.results import read_result

SIZE = {"width": 620, "height": 300}


def perplexity_chart(labels: Mapping[str, str], with_published: bool = False) -> str:
    """Perplexity by epoch, a line for each run, and where asked for a point for each published figure.

    ``labels`` are by the runs' names.
    """
    columns, order = ["run", "epoch", "perplexity"], list(labels.values())
    measured = [
        (label, index + 1, value)
        for name, label in labels.items()
        for index, value in enumerate(read_result(name).perplexity)
    ]
    encoding = {**_axes(), "color": _color(order)}
    lines = alt.Chart(pd.DataFrame(measured, columns=columns)).mark_line(strokeWidth=1.5, clip=True)
    chart: alt.Chart | alt.LayerChart = lines.encode(**encoding)
    if with_published:
        published = [
            (labels[row.recipe], row.epoch, row.perplexity)
            for row in read_published()
            if row.recipe in labels
        ]
        points = alt.Chart(pd.DataFrame(published, columns=columns))
        chart = chart + points.mark_point(size=60, filled=True, clip=True).encode(**encoding)
    return to_svg(chart.properties(**SIZE))


def held_out_chart(labels: Mapping[str, str]) -> str:
    """Training and held-out perplexity by epoch: a color for each run, dashes for what is held out."""
    rows = []
    for name, label in labels.items():
        result = read_result(name)
        for epoch, value in result.held_out.items():
            rows.append((label, int(epoch), result.perplexity[int(epoch) - 1], "training"))
            rows.append((label, int(epoch), value, "held out"))
    chart = (
        alt.Chart(pd.DataFrame(rows, columns=["run", "epoch", "perplexity", "text"]))
        .mark_line(strokeWidth=1.5)
        .encode(
            **_axes(),
            color=_color(list(labels.values())),
            strokeDash=alt.StrokeDash("text:N", sort=["training", "held out"], title="text"),
        )
    )
    return to_svg(chart.properties(**SIZE))


def minibatches_chart() -> str:
    """Milliseconds and peak memory by minibatch, with and without detaching."""
    costs, rows = read_costs(), []
    for name, side in (("detached", costs.detached), ("undetached", costs.undetached)):
        for cost in side:
            rows.append((name, cost.minibatch, "milliseconds", cost.seconds * 1000))
            rows.append((name, cost.minibatch, "peak memory, MB", cost.megabytes))
    frame = pd.DataFrame(rows, columns=["run", "minibatch", "quantity", "value"])
    panels = [
        alt.Chart(frame[frame["quantity"] == quantity])
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X("minibatch:Q", axis=alt.Axis(grid=False)),
            y=alt.Y("value:Q", title=quantity),
            color=_color(["detached", "undetached"]),
        )
        .properties(width=280, height=220)
        for quantity in frame["quantity"].unique()
    ]
    return to_svg(alt.hconcat(*panels))


def _axes() -> dict[str, alt.X | alt.Y]:
    return {
        "x": alt.X("epoch:Q", title="epoch", axis=alt.Axis(grid=False, tickMinStep=1)),
        "y": alt.Y("perplexity:Q", title="perplexity", scale=alt.Scale(type="log", nice=False)),
    }


def _color(runs: list[str]) -> alt.Color:
    return alt.Color("run:N", sort=runs, title=None, scale=alt.Scale(scheme="tableau10"))
