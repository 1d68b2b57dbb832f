"""From templates to pages: Markdown for git, and one HTML page with everything in it."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt

from replications.pages import charts, tables
from replications.pages.costs import HYPERPARAMETER_RUNS

TEMPLATES = Path(__file__).parent
ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


class Pages:
    """Renders templates, and collects the plots that they show, as SVG by name."""

    def __init__(self) -> None:
        self.plots: dict[str, str] = {}

    def markdown(self, template: str, plots_folder: str, *, full: bool) -> str:
        """A page in Markdown. ``full``: with whole samples, of lyrics too."""

        def plot(name: str, svg: str) -> str:
            self.plots[name] = with_own_ids(name, svg)
            return f"![{name}]({plots_folder}/{name}.svg)"

        def samples_table(name: str, epochs: list[int] | None = None) -> str:
            return tables.samples_table(name, full, epochs)

        return ENVIRONMENT.get_template(template).render(
            full=full,
            hyperparameter_runs=HYPERPARAMETER_RUNS,
            plot=plot,
            perplexity_chart=charts.perplexity_chart,
            held_out_chart=charts.held_out_chart,
            minibatches_chart=charts.minibatches_chart,
            published_table=tables.published_table,
            runs_table=tables.runs_table,
            speed_table=tables.speed_table,
            held_out_table=tables.held_out_table,
            minibatches_table=tables.minibatches_table,
            samples_table=samples_table,
            foot=tables.foot,
            at=tables.at,
            measured_on=tables.measured_on,
        )

    def html(self, texts: list[str]) -> str:
        """One page of several in Markdown, with the plots inside it, so that it needs no network."""
        renderer = MarkdownIt("commonmark").enable("table")
        body = "\n".join(renderer.render(text) for text in texts)
        body = re.sub(
            r'<p><img src="[^"]*/([\w-]+)\.svg"[^>]*></p>', lambda found: self.plots[found[1]], body
        )
        body = re.sub(r'<a href="(?!#|https?:)[^"]*">(.*?)</a>', r"\1", body)
        return ENVIRONMENT.get_template("page.html.j2").render(body=body)


def with_own_ids(name: str, svg: str) -> str:
    """The same SVG, with ids that no other plot on a page has.

    The renderer numbers them on from one chart to the next, so they would depend on the charts before.
    """
    ids: dict[str, str] = {}
    return re.sub(r"\bclip\d+\b", lambda found: ids.setdefault(found[0], f"{name}-{len(ids)}"), svg)
