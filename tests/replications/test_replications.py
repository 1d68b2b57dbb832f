"""Recipes, their pipeline, and the figures of its last run."""

import math
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.errors import RefrainError
from replications import run
from replications.report import Published, as_html, read_published, shown
from replications.results import RECIPES, RESULTS, read_result, read_samples, read_timing
from tests.imports import closure
from tests.support.project import ROOT

STAGES = YAML(typ="safe").load((ROOT / "replications/dvc.yaml").read_text(encoding="utf-8"))["stages"]


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recipes and a text, to run in."""
    (tmp_path / "replications").mkdir()
    (tmp_path / RECIPES).symlink_to(ROOT / RECIPES)
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


SMALL = [
    "corpus.path=data/raw/lyrics.txt",
    "corpus.max_chars=2000",
    "train.epochs=3",
    "train.sample.every=2",
    "vocab.unk=true",
    "train.sample.length=5",
    "threads=1",
]


def test_a_run_prints_what_the_pages_print_and_repeats_to_the_byte(
    recipes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [
        *SMALL,
        "train.batch_size=8",
        "corpus.split.train=0.8",
        "corpus.split.valid=0.2",
    ]
    run.main("small", "gru-torch", changes)
    first = (recipes / RESULTS / "small.json").read_bytes()
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("small, untrained (vocabulary of ")
    assert said[1].startswith(" - 分开")
    line = r"epoch 2, perplexity [\d.]+, time \d+\.\d\d sec, [\d,]+ characters/s on .*CPU, 1 threads"
    assert re.fullmatch(line, said[3])

    result = read_result("small")
    assert result.recipe == "gru-torch"
    assert result.characters == 1600
    assert len(result.perplexity) == 3
    assert result.perplexity[0] > result.perplexity[-1] > 1
    assert list(result.baselines) == ["uniform", "unigram", "bigram"]
    assert [sample.epoch for sample in read_samples("small")] == [0, 2]
    assert all(len(text) == 5 for sample in read_samples("small") for text in sample.texts)
    assert read_timing("small").total_seconds > 0

    run.main("small", "gru-torch", changes)
    assert (recipes / RESULTS / "small.json").read_bytes() == first


@pytest.mark.usefixtures("recipes")
def test_a_training_that_diverges_is_a_result() -> None:
    changes = [
        *SMALL,
        "train.batch_size=8",
        "train.clip=null",
        "train.learning_rate=1e30",
        "+models.rnn.nonlinearity=relu",
    ]
    run.main("wild", "rnn-scratch-consecutive", changes)
    stopped = read_result("wild").stopped
    assert stopped is not None
    assert "lower train.learning_rate" in stopped


@pytest.mark.usefixtures("recipes")
def test_a_recipe_has_one_model() -> None:
    with pytest.raises(RefrainError, match="has 2 models"):
        run.main("two", "jaychou_lyrics", [])


@pytest.mark.parametrize("stage", ["lyrics", "time_machine", "exercise", "undetached", "report"])
def test_a_stage_depends_on_just_the_files_it_imports(stage: str) -> None:
    settings = STAGES[stage].get("do", STAGES[stage])
    module = settings["cmd"].split()[2]
    declared = {
        str(path.relative_to(ROOT))
        for dep in settings["deps"]
        for path in ([ROOT / dep, *(ROOT / dep).rglob("*.py")])
        if path.suffix == ".py"
    }
    assert declared == closure(module)


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


def test_page_holds_its_plots_and_links_nowhere() -> None:
    text = "# A\n\n![x]({plots}/x.svg)\n\n| a |\n|---|\n| `分开` |\n\n[b](c.md) [d](https://e.org)\n"
    page = as_html([text], {"x": "<svg>plot</svg>"})
    assert "<svg>plot</svg>" in page
    assert "<img" not in page
    assert "c.md" not in page
    assert "https://e.org" in page
    assert "<td><code>分开</code></td>" in page
