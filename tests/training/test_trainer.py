import itertools
import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import RefrainError
from pipeline.evaluation.perplexity import score
from pipeline.nn.cell import State
from pipeline.training import loop
from pipeline.training.checkpoint import read_checkpoint, write_checkpoint
from pipeline.training.loop import TrainingStopped
from tests.support.training import Recorder, trainer

IDS = torch.randint(7, (203,), generator=torch.Generator().manual_seed(3))

STEPS = 6
"""Steps of an epoch on these."""


@pytest.mark.parametrize("sampling", ["consecutive", "random", "classic_consecutive", "classic_random"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_learns_a_short_text_by_heart(cell: str, sampling: str) -> None:
    ids = torch.randint(9, (60,), generator=torch.Generator().manual_seed(1))
    recorder = Recorder()
    work = trainer(ids, recorder, cell=cell, sampling=sampling, epochs=150, learning_rate=0.03, batch_size=3)
    work.model.load_weights(work.run())
    assert recorder.epochs[0].train_perplexity > 7
    # At random each window starts from the zero state, and its first characters cannot be told.
    assert recorder.epochs[-1].train_perplexity < (3 if "random" in sampling else 1.2)


def test_training_perplexity_of_a_learned_text_is_that_of_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state goes over from epoch to epoch as it does from lane to lane in evaluation.

    What follows a lane's renewal cannot be told. Here, the last one is that of step 7.
    """
    monkeypatch.setattr(loop, "RENEWAL_STEPS", 1_000_000)
    ids = torch.randint(20, (400,), generator=torch.Generator().manual_seed(1))
    recorder = Recorder()
    work = trainer(ids, recorder, epochs=200, learning_rate=0.03, batch_size=8)
    work.model.load_weights(work.run())
    last = recorder.epochs[-1].train_perplexity
    assert last < 1.1
    assert score(work.model, ids).perplexity == pytest.approx(last, rel=0.03)


def test_classic_epochs_start_from_the_zero_state() -> None:
    recorder = Recorder()
    settings = {"epochs": 3, "learning_rate": 1e-30, "schedule": "constant", "warmup_steps": 0}
    work = trainer(IDS, recorder, sampling="classic_consecutive", **settings)
    work.run()
    assert len({epoch.train_perplexity for epoch in recorder.epochs}) == 1
    assert work.steps_per_epoch * work.params.num_steps * work.params.batch_size < len(IDS)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_perplexity_of_each_epoch_by_hand(accumulate: int) -> None:
    """Character-weighted mean of the minibatches' losses, with a learning rate that changes nothing.

    Each lane is set to the zero state in turn, once in 32 steps: the four lanes in steps 0 to 3 of the first
    epoch, and again in steps 32 to 35, which are in the sixth.
    """
    recorder = Recorder()
    settings = {"epochs": 6, "learning_rate": 1e-30, "schedule": "constant", "warmup_steps": 0}
    work = trainer(IDS, recorder, accumulate=accumulate, **settings)
    minibatches = list(work.minibatches())
    assert [len(inputs) for inputs, _ in minibatches] == [10] * 5 + [1], "the last minibatch is shorter"
    expected, step, state = [], 0, work.model.initial_state(4)
    for _ in range(6):
        losses = []
        for inputs, labels in minibatches:
            state = tuple(tensor.clone() for tensor in state)
            if step % 32 < 4:
                for tensor in state:
                    tensor[:, step % 32] = 0
            logits, state = work.model(inputs, state)
            losses.append(functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none"))
            step += 1
        expected.append(torch.cat(losses).mean().exp().item())
        state = tuple(torch.cat([0 * t[:, :1], t[:, :-1]], dim=1) for t in state)
    work.run()
    assert [epoch.train_perplexity for epoch in recorder.epochs] == pytest.approx(expected, rel=1e-6)
    assert len(set(expected)) == 3, "the state matters"


def test_with_many_lanes_each_is_set_to_the_zero_state_once_in_as_many_steps() -> None:
    work = trainer(IDS, Recorder(), batch_size=100, epochs=300, learning_rate=1e-30)
    zeros = []
    compute = work.gradients.compute

    def recording(inputs: Tensor, labels: Tensor, start: State) -> object:
        zeros.append([lane for lane in range(100) if not start[0][:, lane].any()])
        return compute(inputs, labels, start)

    work.gradients.compute = recording  # type: ignore[method-assign, assignment]
    work.run()
    assert work.steps_per_epoch == 1
    # The first lane starts each epoch with the text, in the zero state.
    assert zeros[1:] == [sorted({0, step % 100}) for step in range(1, 300)]


@pytest.mark.parametrize("sampling", ["consecutive", "random", "classic_consecutive", "classic_random"])
def test_going_on_from_any_checkpoint_gives_the_same_weights(
    sampling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SHARE", 0)  # one at each step, however long it takes
    settings = {"sampling": sampling, "dropout": 0.3, "keep": "best", "cell": "lstm"}
    valid = [3.0, 2.0, 2.5]
    recorder = Recorder(valid)
    whole = trainer(IDS, recorder, seconds=0, **settings)
    expected = whole.run()
    assert len(recorder.checkpoints) == 3 * whole.steps_per_epoch + 1
    for checkpoint in recorder.checkpoints[:: 3 if "random" in sampling else 2]:
        again = Recorder(valid[len(checkpoint["history.evaluations"]) :])
        work = trainer(IDS, again, **settings)
        torch.manual_seed(99)  # what is in the generator must come from the checkpoint
        write_checkpoint(tmp_path / "checkpoint", checkpoint, "me")
        stored = read_checkpoint(tmp_path / "checkpoint", "me")
        assert stored is not None
        work.load_state_dict(stored)
        weights = work.run()
        assert again.epochs == recorder.epochs
        for name, weight in expected.items():
            assert torch.equal(weights[name], weight), name


def test_checkpoints_come_at_their_interval_however_short_the_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr("pipeline.training.loop.time.monotonic", lambda: next(clock))
    monkeypatch.setattr(loop, "CHECKPOINT_SHARE", 0)
    recorder = Recorder()
    work = trainer(IDS, recorder, epochs=6, seconds=2 * 6)  # an epoch has six steps, each a tick
    assert work.steps_per_epoch == 6
    work.run()
    steps = [(c["totals.epoch"] - 1) * 6 + c["totals.steps"] for c in recorder.checkpoints]
    assert len(steps) >= 3
    assert all(after - before <= 13 for before, after in itertools.pairwise([0, *steps]))
    assert steps[-1] == 36, "the last is of the finished training"


@pytest.mark.parametrize(("seconds", "interval"), [(1, 40), (60, 60)])
def test_checkpoints_that_take_long_are_rare(
    monkeypatch: pytest.MonkeyPatch, seconds: float, interval: int
) -> None:
    """Each step takes a second here, and each checkpoint two."""
    now = 0
    saved: list[int] = []

    def save(_: object) -> None:
        nonlocal now
        saved.append(now)
        now += 2

    def step_done(*_: object) -> None:
        nonlocal now
        now += 1

    monkeypatch.setattr("pipeline.training.loop.time.monotonic", lambda: now)
    work = trainer(IDS, Recorder(), epochs=25, seconds=seconds, step_done=step_done)
    work.hooks = replace(work.hooks, save=save)
    work.run()
    gaps = [after - before - 2 for before, after in itertools.pairwise(saved[:-1])]  # the last is of the end
    assert set(gaps) == {interval}
    assert len(gaps) >= 1


def test_best_weights_are_those_of_the_best_validation() -> None:
    weights = []
    for valid in ([3.0, 1.0, 2.0], [3.0, 2.0, 1.0]):
        recorder = Recorder(valid)
        weights.append(trainer(IDS, recorder, keep="best").run()["decoder.weight"].clone())
    assert not torch.equal(weights[0], weights[1])
    last = trainer(IDS, Recorder(), keep="last").run()["decoder.weight"]
    assert torch.equal(weights[1], last), "the best was the last"


@pytest.mark.parametrize("evaluate_every", [4, STEPS, 2 * STEPS])
def test_patience_stops_training_even_within_an_epoch(evaluate_every: int) -> None:
    recorder = Recorder([5.0, 4.0, 4.5, 4.2, 1.0])
    work = trainer(IDS, recorder, epochs=50, patience=2, evaluate_every=evaluate_every)
    work.run()
    assert [evaluation.valid_perplexity for evaluation in recorder.evaluations] == [5.0, 4.0, 4.5, 4.2]
    assert recorder.evaluations[-1].step == 4 * evaluate_every == work.steps_done
    assert recorder.epochs[-1].step == 4 * evaluate_every
    assert [epoch.step for epoch in recorder.epochs[:-1]] == [
        STEPS * epoch.epoch for epoch in recorder.epochs[:-1]
    ]
    assert work.is_finished()


def test_a_training_that_patience_has_stopped_is_not_resumed() -> None:
    recorder = Recorder([5.0, 4.0, 4.5, 4.2, 1.0])
    work = trainer(IDS, recorder, epochs=50, patience=2, evaluate_every=4)
    weights = work.run()
    again = trainer(IDS, Recorder([1.0]), epochs=50, patience=2, evaluate_every=4)
    again.load_state_dict(recorder.checkpoints[-1])
    assert again.is_finished()
    kept = again.run()
    assert all(torch.equal(weights[name], kept[name]) for name in weights)


def test_evaluates_and_samples_when_told_to_and_at_the_end() -> None:
    recorder = Recorder([1.0] * 9)
    sample = {"every": 9, "prefixes": ["x"], "length": 5}
    trainer(IDS, recorder, epochs=4, evaluate_every=6, sample=sample).run()
    assert [(e.step, e.valid_perplexity is not None, e.samples) for e in recorder.evaluations] == [
        (6, True, ()),
        (9, False, ("text",)),
        (12, True, ()),
        (18, True, ("text",)),
        (4 * STEPS, True, ("text",)),
    ]


def test_samples_when_patience_has_run_out() -> None:
    recorder = Recorder([5.0, 4.0, 4.5, 4.2, 1.0])
    sample = {"every": 1000, "prefixes": ["x"], "length": 5}
    trainer(IDS, recorder, epochs=50, patience=2, evaluate_every=4, sample=sample).run()
    assert [evaluation.samples for evaluation in recorder.evaluations] == [(), (), (), ("text",)]


def test_no_samples_without_an_interval() -> None:
    recorder = Recorder()
    trainer(IDS, recorder, sample={"every": 0, "prefixes": ["x"], "length": 5}).run()
    assert not recorder.evaluations


def test_loss_that_is_not_finite_stops_with_step_norm_and_advice() -> None:
    work = trainer(
        IDS,
        Recorder(),
        cell="rnn",
        optimizer="sgd",
        learning_rate=1e38,
        clip=None,
        schedule="constant",
        warmup_steps=0,
    )
    with pytest.raises(
        RefrainError, match=r"loss is (nan|inf) at step \d+ \(epoch 1\), with gradient norm"
    ) as caught:
        work.run()
    assert "lower train.learning_rate or set train.clip" in str(caught.value)


def test_weights_that_the_last_step_ruined_are_not_kept() -> None:
    """No loss follows the last step, so its weights are looked at themselves."""
    work = trainer(
        IDS[:21],
        Recorder(),
        epochs=1,
        num_steps=20,
        batch_size=1,
        sampling="random",
        optimizer="sgd",
        learning_rate=1e39,
        clip=None,
        schedule="constant",
        warmup_steps=0,
    )
    assert work.steps_per_epoch == 1
    with pytest.raises(RefrainError, match="the last step made the weights infinite"):
        work.run()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_saves_a_checkpoint_and_stops(number: int) -> None:
    steps = 0

    def step_done(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 13:
            os.kill(os.getpid(), number)

    recorder = Recorder()
    work = trainer(IDS, recorder, epochs=50, step_done=step_done)
    before = signal.getsignal(number)
    with pytest.raises(TrainingStopped, match=signal.Signals(number).name):
        work.run()
    assert signal.getsignal(number) is before
    (saved,) = recorder.checkpoints
    assert (saved["totals.epoch"] - 1) * work.steps_per_epoch + saved["totals.steps"] == 13
    assert math.isfinite(saved["totals.nats"])
