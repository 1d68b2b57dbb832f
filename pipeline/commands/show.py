"""Print the perplexity table of the last run, and two samples of each model."""

from itertools import groupby, islice
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline import artifacts
from pipeline.reporting.samples import decoding_name, one_line
from pipeline.reporting.tables import Metrics, perplexity_rows, read_json, read_lines, splits_of
from pipeline.visible import visible

SAMPLES_PER_MODEL = 2


def metrics_table(metrics: Metrics) -> Table:
    """Perplexity by model and split, with the baselines dimmed below a line."""
    table = Table("model", title="perplexity", title_justify="left")
    for split in splits_of(metrics):
        table.add_column(split, justify="right")
    rows = perplexity_rows(metrics)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        ends_models = not row.is_baseline and following is not None and following.is_baseline
        style = "dim" if row.is_baseline else None
        table.add_row(Text(visible(row.name)), *row.perplexities, style=style, end_section=ends_models)
    return table


def sample_lines(rows: list[dict[str, Any]]) -> list[Text]:
    """The first samples of each model, with the prefix in bold."""
    lines = []
    for model, of_model in groupby(rows, key=lambda row: str(row["model"])):
        for decoding, samples in groupby(islice(of_model, SAMPLES_PER_MODEL), key=decoding_name):
            lines.append(Text(f"{visible(model)}, {decoding}:"))
            for sample in samples:
                prefix, text = one_line(sample["prefix"]), one_line(sample["text"])
                lines.append(Text.assemble("  ", (prefix, "bold"), text))
    return lines


def main() -> None:
    """Print the results of the last run."""
    console = Console(highlight=False)
    metrics, samples = read_json(artifacts.METRICS), read_lines(artifacts.SAMPLES)
    console.print(metrics_table(metrics))
    for line in sample_lines(samples):
        console.print(line, soft_wrap=True)
    console.print(f"more: {artifacts.INDEX}", soft_wrap=True)
