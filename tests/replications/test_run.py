"""One recipe, run."""

import re
from pathlib import Path

import pytest

from pipeline.errors import RefrainError
from replications import run
from replications.results import RESULTS, SAMPLES, read_result, read_samples
from tests.support.programs import run_program_of_root
from tests.support.replications import SMALL

HELD_OUT = [*SMALL, "corpus.split.train=0.8", "corpus.split.valid=0.2"]


def test_a_run_prints_what_the_pages_print_and_repeats_to_the_byte(
    recipes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.main("gru-torch", HELD_OUT, save="small")
    paths = [recipes / folder / "small.json" for folder in (RESULTS, SAMPLES)]
    first = [path.read_bytes() for path in paths]
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("gru-torch, untrained (vocabulary of ")
    assert said[1].startswith(" - 分开")
    line = r"epoch 2, perplexity [\d.]+, time \d+\.\d\d sec, [\d,]+ characters/s on .*CPU, 1 threads"
    assert re.fullmatch(line, said[3])
    assert said[6].startswith("epoch 3, perplexity")  # the last step has samples, too

    result = read_result("small")
    assert result.recipe == "gru-torch"
    assert result.characters == 1600
    assert len(result.perplexity) == 3
    assert result.perplexity[0] > result.perplexity[-1] > 1
    assert result.perplexity_at(3) == result.perplexity[-1]
    assert result.perplexity_at(4) is None
    assert list(result.baselines) == ["uniform", "unigram", "bigram", "ngram"]
    assert [sample.epoch for sample in read_samples("small")] == [0, 2, 3]
    assert all(len(text) == 5 for sample in read_samples("small") for text in sample.texts)

    run.main("gru-torch", HELD_OUT, save="small")
    assert [path.read_bytes() for path in paths] == first


@pytest.mark.usefixtures("recipes")
def test_a_result_names_what_determines_it_and_nothing_else() -> None:
    training = run.train_recipe("gru-torch", [*SMALL, "train.epochs=1"])
    assert "python" not in training.result.versions
    assert {"torch", "numpy", "pyarrow"} <= training.result.versions.keys()
    assert training.result.changes == [*SMALL[:-1], "train.epochs=1"], "runtime is left out"
    assert min(training.seconds, training.epoch_seconds, training.characters_per_second) > 0


def test_without_a_name_a_run_leaves_nothing(recipes: Path) -> None:
    before = sorted(recipes.rglob("*"))
    run.main("gru-torch", SMALL, save=None)
    assert sorted(recipes.rglob("*")) == before


@pytest.mark.usefixtures("recipes")
def test_a_training_that_diverges_is_a_result() -> None:
    changes = [*SMALL, "train.clip=null", "train.learning_rate=1e30", "models.rnn.nonlinearity=relu"]
    run.main("rnn-scratch-consecutive", changes, save="wild")
    stopped = read_result("wild").stopped
    assert stopped is not None
    assert "lower train.learning_rate" in stopped


@pytest.mark.usefixtures("recipes")
def test_a_text_that_is_too_short_is_no_result() -> None:
    with pytest.raises(RefrainError, match="has 100 characters and needs 288"):
        run.train_recipe("rnn-torch", [*SMALL, "corpus.max_chars=100", "generate.allow_unk=true"])


@pytest.mark.usefixtures("recipes")
def test_a_recipe_has_one_model() -> None:
    with pytest.raises(RefrainError, match=r"jaychou_lyrics has 2 models \(rnn, gru\)"):
        run.train_recipe("jaychou_lyrics")


def test_changes_are_read_as_yaml() -> None:
    assert run.parse_changes(["a=null", "b=1e-3", "c.d=true", "e.f.g=relu", "h=[x=y, 2]", "i="]) == {
        "a": None,
        "b": 0.001,
        "c.d": True,
        "e.f.g": "relu",
        "h": ["x=y", 2],
        "i": None,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnn"], "error: unknown recipe 'rnn': choose from by_heart, default, gru-scratch"),
        (["rnn-torch", "train.epochs"], "error: 'train.epochs' changes no key: write KEY=VALUE"),
        (["rnn-torch", "train.clip=[1"], "error: 'train.clip=[1': the value is not valid YAML"),
        (["rnn-torch", "train.epoch=1"], "train.epoch: unknown key; did you mean epochs?"),
        (["rnn-torch", "train.epochs=many"], "train.epochs: 'many' is wrong"),
        (["time-machine"], "error: corpus.path data/raw/timemachine.txt does not exist"),
    ],
)
def test_what_a_user_can_mend_is_one_line(recipes: Path, arguments: list[str], message: str) -> None:
    result = run_program_of_root("replications.run", *arguments, folder=recipes)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
