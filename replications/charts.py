"""Charts of replications, as SVG that needs no script and no network."""

import altair as alt
import pandas as pd

from pipeline.reporting.charts import to_svg

SIZE = {"width": 620, "height": 300}


def perplexity_curves(curves: dict[str, list[float]], published: list[tuple[str, int, float]]) -> str:
    """Perplexity by epoch, a line a run, with a point for each published ``(run, epoch, perplexity)``."""
    rows = [(run, i + 1, y) for run, values in curves.items() for i, y in enumerate(values)]
    lines = (
        alt.Chart(pd.DataFrame(rows, columns=["run", "epoch", "perplexity"]))
        .mark_line(strokeWidth=1.5, clip=True)
        .encode(**_axes("epoch", "perplexity"), color=_colour(list(curves)))
    )
    points = (
        alt.Chart(pd.DataFrame(published, columns=["run", "epoch", "perplexity"]))
        .mark_point(size=60, filled=True, clip=True)
        .encode(**_axes("epoch", "perplexity"), color=_colour(list(curves)))
    )
    return to_svg((lines + points if published else lines).properties(**SIZE))


def held_out_curves(frame: pd.DataFrame, order: list[str]) -> str:
    """Columns ``run``, ``epoch``, ``perplexity``, ``text`` (training or held out): a colour a run."""
    lines = (
        alt.Chart(frame)
        .mark_line(strokeWidth=1.5)
        .encode(
            **_axes("epoch", "perplexity"),
            color=_colour(order),
            strokeDash=alt.StrokeDash("text:N", sort=["training", "held out"], title="text"),
        )
    )
    return to_svg(lines.properties(**SIZE))


def cost_curves(frame: pd.DataFrame) -> str:
    """Columns ``run``, ``minibatch``, ``what``, ``value``: one panel for each ``what``."""
    panels = [
        alt.Chart(frame[frame["what"] == what])
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X("minibatch:Q", axis=alt.Axis(grid=False)),
            y=alt.Y("value:Q", title=what),
            color=_colour(["detached", "undetached"]),
        )
        .properties(width=280, height=220)
        for what in frame["what"].unique()
    ]
    return to_svg(alt.hconcat(*panels))


def _axes(x: str, y: str) -> dict[str, alt.X | alt.Y]:
    return {
        "x": alt.X(f"{x}:Q", title=x, axis=alt.Axis(grid=False, tickMinStep=1)),
        "y": alt.Y(f"{y}:Q", title=y, scale=alt.Scale(type="log", nice=False)),
    }


def _colour(runs: list[str]) -> alt.Color:
    return alt.Color("run:N", sort=runs, title=None, scale=alt.Scale(scheme="tableau10"))
