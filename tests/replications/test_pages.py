"""The pages: published beside measured figures, from the results in git."""

import math
import re
import shutil
from pathlib import Path

import pytest

from replications import report
from replications.pages.costs import COSTS, HYPERPARAMETER_RUNS, read_costs
from replications.pages.published import Published, read_published
from replications.pages.render import Pages, with_own_ids
from replications.pages.tables import shown, speed_table
from replications.results import read_result
from tests.support.project import ROOT
from tests.support.replications import copy_replications, write_samples


@pytest.fixture
def replications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The replications with samples of all runs, in a folder of their own."""
    copy_replications(tmp_path)
    write_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "replications"


@pytest.mark.parametrize("row", read_published(), ids=lambda row: f"{row.recipe}-{row.epoch}")
def test_measured_figures_are_within_the_published_ones_tolerance(row: Published) -> None:
    measured = row.measured()
    assert measured is not None
    assert abs(math.log(measured / row.perplexity)) <= math.log(row.tolerance), row
    assert row.agrees()


def test_ours_does_not_diverge_where_the_published_recipe_does() -> None:
    ours = read_result("gru-torch-ours").perplexity
    assert ours[159] == min(ours)


def test_samples_of_lyrics_are_cut_for_git() -> None:
    assert shown("0123456789abc|", cut=True) == "`0123456789…`"
    assert shown("a|b`c", cut=False) == "`a\\|b'c`"
    for page in ROOT.glob("replications/**/*.md"):
        for cell in re.findall(r"\| `([^`]*)`", page.read_text(encoding="utf-8")):
            assert cell.isascii() or len(cell) <= 11, page


def written(folder: Path) -> dict[str, bytes]:
    """All that the report writes."""
    folders = (folder / name for name in ("exercises", "plots", "page"))
    paths = [folder / "README.md", *(path for inner in folders for path in inner.iterdir())]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_the_report_repeats_to_the_byte_and_replaces_what_is_there(replications: Path) -> None:
    for name in ("exercises", "plots"):
        shutil.rmtree(replications / name)
    report.main()
    first = written(replications)
    assert len(first) == 1 + 6 + 8 + 1
    (replications / "README.md").write_text("old", encoding="utf-8")
    report.main()
    assert written(replications) == first


def test_whole_samples_are_only_on_the_page_that_git_ignores(replications: Path) -> None:
    report.main()
    pages = written(replications)
    whole = b"abcdefghijklmnop"
    assert whole in pages["page/index.html"]
    exercises = [content for name, content in pages.items() if name.startswith("exercises/")]
    assert not any(whole in page for page in exercises)


def test_only_the_exercises_about_cost_show_times(replications: Path) -> None:
    report.main()
    times = re.compile(rb"\d sec|s an epoch|characters/s|\d ms\b")
    pages = {name: page for name, page in written(replications).items() if name.endswith(".md")}
    assert sorted(name for name, page in pages.items() if times.search(page)) == [
        "exercises/1-hyperparameters.md",
        "exercises/4-undetached.md",
    ]


def test_costs_are_those_that_benchmarks_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    costs = read_costs()
    assert COSTS.exists()
    assert costs.epochs.keys() == HYPERPARAMETER_RUNS.keys()
    assert [cost.minibatch for cost in costs.undetached] == list(range(1, len(costs.detached) + 1))
    first = speed_table({"rnn-torch": "as published"}, "rnn-torch", 30).splitlines()[-1]
    assert first.endswith(f"| 30 | {read_result('rnn-torch').perplexity[29]:.4g} |")


def test_page_holds_its_plots_and_links_nowhere() -> None:
    pages = Pages()
    pages.plots["x"] = "<svg>plot</svg>"
    text = "# A\n\n![x](plots/x.svg)\n\n| a |\n|---|\n| `分开` |\n\n[b](c.md) [d](https://e.org)\n"
    page = pages.html([text])
    assert "<svg>plot</svg>" in page
    assert "<img" not in page
    assert "c.md" not in page
    assert "https://e.org" in page
    assert "<td><code>分开</code></td>" in page


def test_a_plot_does_not_depend_on_the_plots_before_it() -> None:
    svg = '<g clip-path="url(#clip{})"/><clipPath id="clip{}">'
    assert with_own_ids("x", svg.format(7, 7)) == with_own_ids("x", svg.format(50, 50))
    assert with_own_ids("x", svg.format(7, 8)) == '<g clip-path="url(#x-0)"/><clipPath id="x-1">'
