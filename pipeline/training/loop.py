"""The training loop: truncated backpropagation through time, resumable at any minibatch."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from types import FrameType
from typing import Any

from torch import Tensor

from pipeline import seeds
from pipeline.data.batches import SAMPLINGS, Minibatch, Selection
from pipeline.data.text import Text
from pipeline.evaluation.score import perplexity_of
from pipeline.nn.language_model import CharLM
from pipeline.params.runtime import RuntimeParams
from pipeline.params.train import TrainParams
from pipeline.training.gradients import Gradients
from pipeline.training.meter import FLUSH_STEPS, EpochTotals
from pipeline.training.optim import Optimizer, learning_rate_at
from pipeline.training.ranks import ONE_RANK, Ranks
from pipeline.training.state import (
    Epoch,
    Evaluation,
    History,
    KeptWeights,
    LaneStates,
    RandomStates,
    Stateful,
)

CHECKPOINT_POLL_STEPS = 10
"""How often, in steps, several ranks ask each other whether a checkpoint is due."""

CHECKPOINT_SHARE = 20
"""Before the next checkpoint, training takes at least this many times as long as writing the last one."""

RENEWAL_STEPS = 32
"""In a ring, each lane starts in the zero state once in so many steps, or in as many as there are lanes.

Prefixes and held-out texts start there, too. A GRU that saw the zero state only before its first step had
another attractor there: it predicted whole texts of Shakespeare far worse than a blind guess.
"""


class TrainingStopped(Exception):
    """A signal has asked training to stop, and training has saved its state."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True)
class Hooks:
    """Functions that the loop calls.

    ``validate`` returns the validation perplexity, ``sample`` returns texts, ``save`` stores the state of the
    training. After each step, ``step_done`` gets the number of characters whose losses were read since the
    last call, and the epoch's mean loss so far, or None if no losses were read. ``evaluated`` and
    ``epoch_done`` get each evaluation and each epoch. If training resumes, they first get those before the
    checkpoint.
    """

    validate: Callable[[], float] | None
    sample: Callable[[], tuple[str, ...]]
    save: Callable[[dict[str, Any]], None]
    step_done: Callable[[int, float | None], None]
    evaluated: Callable[[Evaluation], None]
    epoch_done: Callable[[Epoch], None]


class Trainer:
    """Trains ``model`` on ``text``. Everything that changes from step to step is in ``parts``.

    With several ranks, each trains on its share of the lanes. They do everything else in the same way:
    ``text`` and the results of ``hooks`` are the same on all ranks.
    """

    def __init__(
        self,
        model: CharLM,
        text: Text,
        params: TrainParams,
        runtime: RuntimeParams,
        seed: int,
        hooks: Hooks,
        ranks: Ranks = ONE_RANK,
    ) -> None:
        self.model, self.text, self.params, self.runtime = model, text, params, runtime
        self.seed, self.hooks, self.ranks = seed, hooks, ranks
        self.sampling = SAMPLINGS[params.sampling]
        self.steps_per_epoch = self.sampling.count(len(text), params.batch_size, params.num_steps)
        self.gradients = Gradients(model, runtime.accumulate, ranks)
        self.optimizer = Optimizer(params, model.parameters())
        self.totals = EpochTotals(self.steps_per_epoch, params.clip, model.device)
        self.lanes = LaneStates(model, params.batch_size, ranks)
        self.history = History()
        self.weights = KeptWeights(model, params.keep)
        self.parts: dict[str, Stateful] = {
            "weights": self.weights,
            "optimizer": self.optimizer,
            "totals": self.totals,
            "lanes": self.lanes,
            "random": RandomStates(model.device, ranks),
            "history": self.history,
        }

    def run(self) -> dict[str, Tensor]:
        """Train to the end and return the weights to keep.

        Raises :class:`RefrainError` if the loss is not finite, and :class:`TrainingStopped` on SIGINT and
        SIGTERM.
        """
        self.model.train()
        self.saved_at, self.saving_took = time.monotonic(), 0.0
        with received_signals() as signals:
            while not self.is_finished():
                for inputs, labels in self.minibatches():
                    if self.checkpoint_is_due(signals):
                        self.save(signals)
                    self.step(inputs, labels)
                    self.evaluate_if_due()
                    if self.is_finished():
                        break
                self.finish_epoch()
        self.weights.check_finite()
        self.hooks.save(self.state_dict())
        return self.weights.kept()

    def is_finished(self) -> bool:
        """Whether all epochs are done, or patience has run out."""
        out_of_patience = self.history.is_out_of_patience(self.params.patience)
        return self.totals.epoch > self.params.epochs or out_of_patience

    def minibatches(self) -> Iterator[Minibatch]:
        """This rank's share of the remaining minibatches of the current epoch."""
        return self.sampling.minibatches(
            self.text,
            self.params.batch_size,
            self.params.num_steps,
            seeds.generator(self.seed, "epoch", self.totals.epoch),
            Selection(self.totals.steps_done, self.ranks.share, self.model.device),
        )

    def step(self, inputs: Tensor, labels: Tensor) -> None:
        """Train on one minibatch: compute gradients, update the weights and, now and then, read losses.

        ``inputs`` and ``labels`` are ids of shape ``(num_steps, batch_size)``, with the lanes of this rank.
        """
        if self.sampling.is_ring:
            self.lanes.renew(self.steps_done % max(self.params.batch_size, RENEWAL_STEPS))
        start = (
            self.lanes.states if self.sampling.carries_state else self.model.initial_state(inputs.shape[1])
        )
        loss, characters, end = self.gradients.compute(inputs, labels, start)
        if self.sampling.carries_state:
            self.lanes.states = end
        rate = learning_rate_at(self.params, self.steps_done, self.all_steps)
        self.totals.add(loss, characters, self.optimizer.step(rate))
        if self.totals.steps_done % FLUSH_STEPS == 0 or self.totals.steps_done == self.steps_per_epoch:
            self.totals.flush_losses()
            self.hooks.step_done(self.totals.unreported_characters(), self.totals.mean_loss())
        else:
            self.hooks.step_done(0, None)

    def evaluate_if_due(self) -> None:
        """Compute validation perplexity and write samples, each if it is due after this step."""
        step, every = self.steps_done, self.params.sample.every
        valid = None
        if self.hooks.validate and (step == self.all_steps or step % self.params.evaluate_every == 0):
            valid = self.hooks.validate()
            self.weights.keep_if_best(valid, self.history)
        is_last = step == self.all_steps or self.history.is_out_of_patience(self.params.patience, valid)
        samples_are_due = bool(every) and (is_last or step % every == 0)
        if valid is None and not samples_are_due:
            return
        samples = self.hooks.sample() if samples_are_due else ()
        self.history.evaluations.append(
            Evaluation(self.totals.epoch, step, self.train_perplexity(), valid, samples)
        )
        self.hooks.evaluated(self.history.evaluations[-1])

    def finish_epoch(self) -> None:
        """Report the epoch, and start the next one unless this one was not completed."""
        epoch = Epoch(self.totals.epoch, self.steps_done, self.train_perplexity())
        self.history.epochs.append(epoch)
        self.hooks.epoch_done(epoch)
        if self.totals.steps_done == self.steps_per_epoch:
            self.totals.start_epoch(self.totals.epoch + 1)
            self.lanes.start_epoch(as_ring=self.sampling.is_ring)

    def train_perplexity(self) -> float:
        """The training perplexity of the epoch so far."""
        self.totals.flush_losses()
        return perplexity_of(self.totals.mean_loss())

    @property
    def all_steps(self) -> int:
        """Optimiser steps of all epochs."""
        return self.params.epochs * self.steps_per_epoch

    @property
    def steps_done(self) -> int:
        """Optimiser steps since the start of training."""
        return (self.totals.epoch - 1) * self.steps_per_epoch + self.totals.steps_done

    def checkpoint_is_due(self, signals: list[int]) -> bool:
        """Whether it is time to save, or a signal has asked to stop. All ranks get the same answer."""
        interval = max(self.runtime.checkpoint_seconds, CHECKPOINT_SHARE * self.saving_took)
        due = bool(signals) or time.monotonic() - self.saved_at >= interval
        if self.ranks.size == 1:
            return due
        return self.steps_done % CHECKPOINT_POLL_STEPS == 0 and self.ranks.any_rank(due, self.model.device)

    def save(self, signals: list[int]) -> None:
        """Save the state, then raise :class:`TrainingStopped` if any rank has received a signal."""
        started = time.monotonic()
        self.hooks.save(self.state_dict())
        self.saved_at = time.monotonic()
        self.saving_took = self.saved_at - started
        if self.ranks.any_rank(bool(signals), self.model.device):
            raise TrainingStopped(signals[0] if signals else signal.SIGTERM)

    def state_dict(self) -> dict[str, Any]:
        """The state of all parts between two minibatches: tensors and JSON-serialisable values, by name.

        Raises :class:`RefrainError` if the loss is not finite.
        """
        self.totals.flush_losses()
        return {
            f"{name}.{key}": value
            for name, part in self.parts.items()
            for key, value in part.state_dict().items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from what :meth:`state_dict` returned in the same training."""
        for name, part in self.parts.items():
            prefix = f"{name}."
            part.load_state_dict(
                {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            )
        done: list[tuple[int, Callable[[Any], None], Any]] = [
            *((evaluation.step, self.hooks.evaluated, evaluation) for evaluation in self.history.evaluations),
            *((epoch.step, self.hooks.epoch_done, epoch) for epoch in self.history.epochs),
        ]
        for _, hook, result in sorted(done, key=itemgetter(0)):
            hook(result)


@contextmanager
def received_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, which would otherwise end the process."""
    received: list[int] = []

    def receive(number: int, _: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
