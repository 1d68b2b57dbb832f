"""Published beside measured: README.md, the exercises' answers, and one page with everything.

python -m replications.report
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt

from pipeline.artifacts import REPORTS, write_text
from pipeline.program import run
from pipeline.reporting.tables import format_perplexity
from replications import charts
from replications.results import (
    FOLDER,
    TIMINGS,
    Result,
    read_json,
    read_result,
    read_samples,
    read_timing,
)

EXERCISES = FOLDER / "exercises"
PLOTS = FOLDER / "plots"
PAGE = REPORTS / "replications.html"
SHORT = 10
"""Characters of a sample that git keeps: a model that knows song lyrics by heart writes song lyrics."""


@dataclass(frozen=True)
class Published:
    """A figure of the textbook's. A measured one may be ``tolerance`` times as large or as small."""

    recipe: str
    epoch: int
    perplexity: float
    tolerance: float
    reason: str

    def measured(self) -> float | None:
        """The same figure of our run; None if it ended before."""
        values = read_result(self.recipe).perplexity
        return values[self.epoch - 1] if len(values) >= self.epoch else None

    def agrees(self) -> bool:
        """Whether the measured figure is within the tolerance."""
        measured = self.measured()
        return measured is not None and 1 / self.tolerance <= measured / self.perplexity <= self.tolerance


def read_published() -> list[Published]:
    """The published figures."""
    with (FOLDER / "published.csv").open(encoding="utf-8", newline="") as file:
        return [
            Published(
                row["recipe"],
                int(row["epoch"]),
                float(row["perplexity"]),
                float(row["tolerance"]),
                row["reason"],
            )
            for row in csv.DictReader(file)
        ]


def read_spread() -> dict[tuple[str, int], tuple[float, float]]:
    """The figures of seeds 1 and 2 (see :mod:`replications.spread`), by recipe and epoch."""
    with (FOLDER / "spread.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["recipe"], int(row["epoch"])): (float(row["seed 1"]), float(row["seed 2"]))
            for row in csv.DictReader(file)
        }


def published_table(recipe: str) -> str:
    """Published beside measured, epoch by epoch."""
    others = read_spread()
    rows = [
        (
            str(row.epoch),
            f"{row.perplexity:g}",
            number(row.measured()),
            *map(number, others[row.recipe, row.epoch]),
            f"{row.tolerance:g} times",
            "yes" if row.agrees() else "no",
            row.reason,
        )
        for row in read_published()
        if row.recipe == recipe
    ]
    header = ("epoch", "published", "measured", "seed 1", "seed 2", "tolerance", "within", "why")
    return table(header, rows)


def runs_table(names: dict[str, str], epochs: list[int]) -> str:
    """Perplexity of runs at some epochs, and their seconds an epoch."""
    rows = []
    for name, label in names.items():
        result, timing = read_result(name), read_timing(name)
        values = [
            number(result.perplexity[epoch - 1]) if len(result.perplexity) >= epoch else ""
            for epoch in epochs
        ]
        speed = (f"{timing.seconds:.2f}", f"{timing.characters_per_second:,.0f}")
        rows.append((label, *values, *speed, result.stopped or ""))
    header = ("run", *(f"epoch {epoch}" for epoch in epochs), "s an epoch", "characters/s", "stopped")
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return table(header, rows)


def samples_table(name: str, full: bool, epochs: list[int] | None = None) -> str:
    """The text after each period for each prefix; of lyrics only the first characters unless ``full``."""
    result = read_result(name)
    lyrics = not name.startswith("time-machine")
    rows = [
        (str(sample.epoch), *(shown(text, lyrics and not full) for text in sample.texts))
        for sample in read_samples(name)
        if epochs is None or sample.epoch in epochs
    ]
    return table(("epoch", *result.prefixes), rows)


def held_out_table(names: dict[str, str]) -> str:
    """Lowest and last held-out perplexity of runs beside the baselines of their text."""
    rows = []
    for name, label in names.items():
        result = read_result(name)
        best = min(result.held_out, key=lambda epoch: result.held_out[epoch])
        last = list(result.held_out)[-1]
        rows.append(
            (
                label,
                number(result.perplexity[-1]),
                f"{number(result.held_out[best])} (epoch {best})",
                f"{number(result.held_out[last])} (epoch {last})",
                *(number(result.baselines[key]) for key in ("uniform", "unigram", "bigram")),
            )
        )
    header = ("run", "training", "held out, lowest", "held out, last", "uniform", "unigram", "bigram")
    return table(header, rows)


def cost_table(minibatches: list[int]) -> str:
    """Milliseconds and peak memory of minibatches with and without detaching."""
    measured = read_json(TIMINGS / "undetached.json")
    rows = []
    for number_ in minibatches:
        cells = [measured[name][number_ - 1] for name in ("detached", "undetached")]
        rows.append(
            (
                str(number_),
                *(f"{cell['seconds'] * 1000:.0f} ms" for cell in cells),
                *(f"{cell['megabytes']:,.0f} MB" for cell in cells),
            )
        )
    header = ("minibatch", "detached", "undetached", "peak, detached", "peak, undetached")
    return table(header, rows)


def foot(name: str) -> str:
    """Where a run's figures come from."""
    result, timing = read_result(name), read_timing(name)
    versions = ", ".join(f"{package} {version}" for package, version in result.versions.items())
    return (
        f"Recipe [{result.recipe}.yaml](recipes/{result.recipe}.yaml), seed {result.seed}, "
        f"{result.characters:,} characters, vocabulary of {result.vocab_size:,}; {timing.seconds:.2f} s an "
        f"epoch, {timing.characters_per_second:,.0f} characters/s, {timing.total_seconds:.0f} s in all on "
        f"{timing.device}; {versions}."
    )


def curves(names: dict[str, str], published: list[Published]) -> str:
    """A chart of runs, under the labels given."""
    points = [(names[row.recipe], row.epoch, row.perplexity) for row in published if row.recipe in names]
    return charts.perplexity_curves(
        {label: read_result(name).perplexity for name, label in names.items()}, points
    )


def held_out_chart(names: dict[str, str]) -> str:
    """Training and held-out perplexity by epoch."""
    rows = []
    for name, label in names.items():
        result: Result = read_result(name)
        for epoch, value in result.held_out.items():
            rows.append((label, int(epoch), result.perplexity[int(epoch) - 1], "training"))
            rows.append((label, int(epoch), value, "held out"))
    frame = pd.DataFrame(rows, columns=["run", "epoch", "perplexity", "text"])
    return charts.held_out_curves(frame, list(names.values()))


def cost_chart() -> str:
    """Cost by minibatch."""
    rows = []
    for name, found in read_json(TIMINGS / "undetached.json").items():
        for cost in found:
            rows.append((name, cost["minibatch"], "milliseconds", cost["seconds"] * 1000))
            rows.append((name, cost["minibatch"], "peak memory, MB", cost["megabytes"]))
    return charts.cost_curves(pd.DataFrame(rows, columns=["run", "minibatch", "what", "value"]))


def number(value: float | None) -> str:
    """A perplexity, with enough digits near 1 to tell good models apart."""
    if value is None:
        return "not reached"
    return f"{value:.4f}" if value < 2 else format_perplexity(value)


def shown(text: str, cut: bool) -> str:
    """A sample in a cell of a table."""
    text = text[:SHORT] + "…" if cut else text
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Write everything."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    plots: dict[str, str] = {}

    def plot(name: str, svg: str) -> str:
        plots[name] = svg
        return f"![{name}]({{plots}}/{name}.svg)"

    tools = {
        "published_table": published_table,
        "runs_table": runs_table,
        "held_out_table": held_out_table,
        "cost_table": cost_table,
        "foot": foot,
        "at": lambda name, epoch: number(read_result(name).perplexity[epoch - 1]),
        "timing": read_timing,
        "curves": lambda name, names, with_published=False: plot(
            name, curves(names, read_published() if with_published else [])
        ),
        "held_out_chart": lambda name, names: plot(name, held_out_chart(names)),
        "cost_chart": lambda name: plot(name, cost_chart()),
    }
    page = []
    templates = [FOLDER / "README.md.j2", *sorted(EXERCISES.glob("*.md.j2"))]
    for path in templates:
        template = environment.get_template(str(path.relative_to(FOLDER)))
        for full in (False, True):
            text = template.render(
                **tools,
                full=full,
                samples_table=lambda name, epochs=None, full=full: samples_table(name, full, epochs),
            )
            if full:
                page.append(text)
            else:
                place = "plots" if path.parent == FOLDER else "../plots"
                write_text(path.with_suffix(""), text.replace("{plots}", place))
    for name, svg in plots.items():
        write_text(PLOTS / f"{name}.svg", svg)
    write_text(PAGE, as_html(page, plots))


def as_html(texts: list[str], plots: dict[str, str]) -> str:
    """One page from Markdown texts, the plots inside it, so that it needs no network."""
    body = "\n".join(MarkdownIt("commonmark").enable("table").render(text) for text in texts)
    body = re.sub(r'<p><img src="[^"]*/([\w-]+)\.svg"[^>]*></p>', lambda found: plots[found[1]], body)
    body = re.sub(r'<a href="(?!#|https?:)[^"]*">(.*?)</a>', r"\1", body)
    return (FOLDER / "page.html").read_text(encoding="utf-8").replace("BODY", body)


if __name__ == "__main__":
    run(main)
