"""The tables of the pages, in Markdown, and the figures within their text."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.arithmetic.rounding import format_perplexity
from replications.pages.costs import read_costs
from replications.pages.published import read_published, read_spread
from replications.results import read_result, read_samples

SHORT = 10
"""Characters of a sample that git keeps: a model that knows song lyrics by heart writes song lyrics."""


def published_table(recipe: str) -> str:
    """Published beside measured perplexities, epoch by epoch."""
    spread = read_spread()
    rows = [
        (
            str(row.epoch),
            f"{row.perplexity:g}",
            number(row.measured()),
            *("" if figure is None else number(figure) for figure in spread[row.recipe, row.epoch]),
            f"{row.tolerance:g} times",
            "yes" if row.agrees() else "no",
            row.reason,
        )
        for row in read_published()
        if row.recipe == recipe
    ]
    header = ("epoch", "published", "measured", "seed 1", "seed 2", "tolerance", "within", "why")
    return markdown_table(header, rows)


def runs_table(labels: Mapping[str, str], epochs: Sequence[int]) -> str:
    """Perplexities of runs at some epochs. ``labels`` are by the runs' names."""
    rows = []
    for name, label in labels.items():
        result = read_result(name)
        values = (result.perplexity_at(epoch) for epoch in epochs)
        rows.append((label, *("" if value is None else number(value) for value in values)))
    return markdown_table(("run", *(f"epoch {epoch}" for epoch in epochs)), rows)


def speed_table(labels: Mapping[str, str], reference: str, epochs: int) -> str:
    """What an epoch of each run costs, and the perplexity in the time that ``reference`` takes for ``epochs``
    of them.
    """
    costs = read_costs().epochs
    budget = epochs * costs[reference].seconds
    rows = []
    for name, label in labels.items():
        done = min(int(budget / costs[name].seconds + 1e-6), len(read_result(name).perplexity))
        rows.append(
            (
                label,
                f"{costs[name].seconds:.2f}",
                f"{costs[name].characters_per_second:,.0f}",
                str(done),
                number(read_result(name).perplexity_at(done)) if done else "",
            )
        )
    header = ("run", "s an epoch", "characters/s", f"epochs in the time of {epochs} as published")
    return markdown_table((*header, "perplexity then"), rows)


def held_out_table(labels: Mapping[str, str]) -> str:
    """Lowest and last held-out perplexity of runs, beside the baselines of their text."""
    rows = []
    for name, label in labels.items():
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
    return markdown_table(header, rows)


def samples_table(name: str, full: bool, epochs: Iterable[int] | None = None) -> str:
    """The text after each period for each prefix; of lyrics only the first characters unless ``full``."""
    cut = not full and not name.startswith("time-machine")
    chosen = None if epochs is None else set(epochs)
    rows = [
        (str(sample.epoch), *(shown(text, cut) for text in sample.texts))
        for sample in read_samples(name)
        if chosen is None or sample.epoch in chosen
    ]
    return markdown_table(("epoch", *read_result(name).prefixes), rows)


def minibatches_table(minibatches: Iterable[int]) -> str:
    """Milliseconds and peak memory of some minibatches, with and without detaching."""
    costs = read_costs()
    rows = []
    for minibatch in minibatches:
        pair = [side[minibatch - 1] for side in (costs.detached, costs.undetached)]
        times = (f"{cost.seconds * 1000:.0f} ms" for cost in pair)
        peaks = (f"{cost.megabytes:,.0f} MB" for cost in pair)
        rows.append((str(minibatch), *times, *peaks))
    header = ("minibatch", "detached", "undetached", "peak, detached", "peak, undetached")
    return markdown_table(header, rows)


def foot(name: str) -> str:
    """What determines a run's figures."""
    result = read_result(name)
    versions = ", ".join(f"{package} {version}" for package, version in result.versions.items())
    return (
        f"Recipe [{result.recipe}.yaml](recipes/{result.recipe}.yaml), seed {result.seed}, "
        f"{result.characters:,} characters, vocabulary of {result.vocab_size:,}; {versions}."
    )


def at(name: str, epoch: int) -> str:
    """The perplexity of a run at an epoch."""
    return number(read_result(name).perplexity_at(epoch))


def measured_on() -> str:
    """The machine that the costs were measured on."""
    costs = read_costs()
    return f"{costs.processor} with {costs.threads} thread{'' if costs.threads == 1 else 's'}"


def number(value: float | None) -> str:
    """A perplexity, with enough digits near 1 to tell good models apart."""
    if value is None:
        return "not reached"
    return f"{value:.4f}" if value < 2 else format_perplexity(value)


def shown(text: str, cut: bool) -> str:
    """A sample in a cell of a table."""
    text = text[:SHORT] + "…" if cut else text
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
