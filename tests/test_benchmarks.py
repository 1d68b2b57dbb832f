"""What benchmarks compare does the same work on both sides."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from benchmarks import exercises, large_text, setups, simulation, textbook
from benchmarks.bench import figures_table
from benchmarks.figures import Figure
from benchmarks.optimizers import CLASSES, TorchOptimizer
from benchmarks.processes import measured_by, peak_megabytes
from benchmarks.training_rate import characters_per_second
from pipeline.errors import RefrainError
from pipeline.generation.decoding import Decoding, generate
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.params.load import load_params
from pipeline.text.vocab import count_chars, vocab_from_counts
from pipeline.training.optim import Optimizer
from tests.support.programs import run_program_of_root
from tests.support.project import ROOT
from tests.support.replications import copy_replications, write_text
from tests.support.training import train_params


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_both_generate_the_same_text(cell: str) -> None:
    theirs, ours = setups.same_models(cell, 50)
    with torch.no_grad():
        expected = textbook.generate(theirs, [3, 1], 20)
    assert generate(ours, [[3, 1]], 20, Decoding(), 0) == [expected[2:]]


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_both_learn_a_text(cell: str) -> None:
    ids = torch.arange(2000) % 17
    for training in (setups.TextbookTraining, setups.OurTraining):
        side = training(cell, ids, 17)
        first = [side.epoch() for _ in range(8)]
        assert first[-1] < first[0] - 0.5


def test_adding_up_on_paper_by_hand() -> None:
    network = simulation.Network("test", bandwidth=1e6, latency=0.1)
    assert simulation.add_up_seconds(1e6, 1, network) == 0
    assert simulation.add_up_seconds(1e6, 2, network) == pytest.approx(1 + 0.2)
    assert simulation.add_up_seconds(1e6, 5, network) == pytest.approx(1.6 + 0.8)
    assert simulation.add_up_seconds(1e6, 5, network, as_tree=True) == pytest.approx(1.6 + 0.6)


def test_more_ranks_on_paper_never_get_more_efficient_and_less_data_never_less() -> None:
    rows = simulation.simulate({"32": 50_000.0, "128": 60_000.0}, simulation.NETWORKS)
    assert len(rows) == 2 * 2 * len(simulation.NETWORKS) * len(simulation.RANKS)
    assert simulation.efficiency_table(rows).count("\n| ") == 2 * 2 * 5
    assert all(value == 1 for value in rows[0]["efficiency"].values()), "one rank adds nothing up"
    for before, after in pairwise(rows):
        if after["ranks"] > before["ranks"]:
            assert after["efficiency"]["dense"] <= before["efficiency"]["dense"]
        assert after["efficiency"]["sparse"] >= after["efficiency"]["dense"]


def test_a_network_follows_from_two_times_that_it_took() -> None:
    network = simulation.Network("test", bandwidth=1e9, latency=1e-4)
    took = {
        "add_up_seconds": simulation.add_up_seconds(4 * simulation.num_gradients(), 2, network),
        "add_up_one_seconds": simulation.add_up_seconds(4, 2, network),
    }
    found = simulation.loopback(took)
    assert found.bandwidth == pytest.approx(1e9, rel=1e-4)
    assert found.latency == pytest.approx(1e-4, rel=1e-4)


def test_both_encode_alike() -> None:
    text = "abracadabra" + "abbac" + "r"  # no two characters are as frequent
    ids, vocab = textbook.encode(text)
    ours = vocab_from_counts(count_chars([text]), unk=False, min_count=1)
    assert list(vocab) == list(ours.chars)
    assert ids == ours.encode(text).tolist()


def test_a_time_counts_only_with_its_result() -> None:
    assert setups.seconds_to(iter([3.0, 2.0, 1.0]).__next__, 2.0) > 0
    with pytest.raises(RuntimeError, match=r"no perplexity of 1\.5 in 2 epochs"):
        setups.seconds_to(lambda: 2.0, 1.5, most=2)


def test_the_table_has_a_line_for_each_figure() -> None:
    lines = figures_table([Figure("speed", "m/s", 1.0, 2.5, 2.5, 2.0)]).splitlines()
    assert lines[-1] == "| speed | 1 m/s | 2.5 m/s | 2.50 | 2.0 |"


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("clip", [None, 0.01])
def test_the_optimisers_that_are_compared_take_the_same_steps(name: str, clip: float | None) -> None:
    weights = []
    for kind in (TorchOptimizer, Optimizer):
        torch.manual_seed(0)
        model = CharLM(ModelConfig(20, "gru", 8))
        optimizer = kind(train_params(optimizer=name, clip=clip, weight_decay=0.1), model.parameters())
        ids = torch.randint(20, (6, 4))
        for step in range(5):
            model.zero_grad()
            loss, _ = model.loss(ids[:-1], ids[1:], model.initial_state(4))
            loss.backward()
            optimizer.step(0.1 / (step + 1))
        weights.append(model.weights())
    for key, weight in weights[0].items():
        # Ours of SGD are PyTorch's plain operations.
        torch.testing.assert_close(weight, weights[1][key], atol=1e-7 if name == "sgd" else 0, rtol=0)


def test_costs_of_minibatches_are_of_those_that_a_training_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_replications(tmp_path)
    write_text(tmp_path)
    monkeypatch.chdir(tmp_path)
    for side in exercises.STATES:
        costs = exercises.minibatches_of(side, count=3)
        assert [cost.minibatch for cost in costs] == [1, 2, 3]
        assert all(cost.seconds > 0 and cost.megabytes > 0 for cost in costs)


@pytest.mark.slow
def test_costs_of_epochs_are_of_the_runs_of_exercise_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_replications(tmp_path)
    write_text(tmp_path)
    monkeypatch.chdir(tmp_path)
    costs = exercises.epoch_costs(rounds=1, epochs=1)
    assert list(costs) == list(exercises.HYPERPARAMETER_RUNS)
    assert all(cost.seconds > 0 and cost.characters_per_second > 0 for cost in costs.values())


def test_a_training_rate_is_over_its_first_steps() -> None:
    ids = torch.arange(5000) % 17
    assert 0 < characters_per_second(ids.numpy(), 17, 32, steps=6) < math.inf


def test_a_large_text_and_its_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    large_text.write_letters(tmp_path / "text.txt", 0.01)
    assert (tmp_path / "text.txt").stat().st_size == 10_000_000
    large_text.write_params(tmp_path, tmp_path / "text.txt", workers=2)
    params = load_params(tmp_path / "params.yaml")
    assert params.corpus.path == str(tmp_path / "text.txt")
    assert params.runtime.text_workers == 2
    (tmp_path / "text.txt").unlink()
    with pytest.raises(
        RefrainError, match=r"the stage build_vocab ended with status 1: error: .*does not exist"
    ):
        large_text.run_stage("build_vocab", tmp_path)


def test_another_process_measures_and_its_failure_is_one_line() -> None:
    assert measured_by("-c", "print('log'); print('[1]')") == [1]
    with pytest.raises(RefrainError, match="ended with status 3"):
        measured_by("-c", "raise SystemExit(3)")
    assert peak_megabytes() > 10


CATALOG = """
jaychou_lyrics:
  url: http://127.0.0.1:9/jaychou_lyrics.txt.zip
  file: jaychou_lyrics.txt.zip
  sha256: null
  normalize: lyrics
  licence: none
"""


@pytest.mark.parametrize(
    ("program", "arguments", "status", "message"),
    [
        ("bench", ["speed"], 1, "there is no figure speed; there are train-rnn, train-gru"),
        ("bench", ["train-rnn"], 75, "jaychou_lyrics.txt.zip: download failed"),
        ("bench", ["memory"], 75, "jaychou_lyrics.txt.zip: download failed"),
        ("recipes", [], 1, "data/catalog.yaml has no text 'tiny_shakespeare'"),
        ("exercises", [], 1, "replications/results/rnn-torch.json is not there: run `make replicate`"),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    monkeypatch.delenv("REFRAIN_CORPORA", raising=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/catalog.yaml").write_text(CATALOG, encoding="utf-8")
    result = run_program_of_root(f"benchmarks.{program}", *arguments, folder=tmp_path)
    assert result.returncode == status, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
