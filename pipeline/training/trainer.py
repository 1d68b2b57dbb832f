"""The training loop: truncated backpropagation through time, resumable at any minibatch."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from types import FrameType

import torch
from torch import Tensor

from pipeline import seeds
from pipeline.device import get_rng_states, set_rng_states
from pipeline.errors import RefrainError
from pipeline.nn.cells import State
from pipeline.nn.language_model import CharLM, detach, next_lanes
from pipeline.nn.loss import linear_cross_entropy, perplexity
from pipeline.params import TrainParams
from pipeline.text import batches
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.optim import Optimizer, learning_rate

CHECK_STEPS = 50
"""Steps between two looks at the losses, each of which waits for the device."""


STEPS_PER_EPOCH = {
    "consecutive": batches.num_consecutive,
    "random": batches.num_random,
    "classic_consecutive": batches.num_classic_consecutive,
    "classic_random": batches.num_classic_random,
}
"""By sampling, from the number of characters, ``batch_size`` and ``num_steps``."""


@dataclass(frozen=True)
class Epoch:
    """One epoch's results. ``train_perplexity`` is over the epoch while the weights change, as in
    textbooks; ``valid_perplexity`` is of the weights at its end, where the epoch was evaluated.
    """

    epoch: int
    train_perplexity: float
    valid_perplexity: float | None = None
    samples: tuple[str, ...] = ()


class Stopped(Exception):
    """Training was asked to stop by a signal, after writing a checkpoint."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True)
class Hooks:
    """What the loop calls: ``validate`` gives the validation perplexity, ``sample`` texts, ``save``
    stores a checkpoint, ``step_done`` hears how many characters a step had and the mean loss of the epoch
    so far (None between two looks at it), and ``epoch_done`` of each epoch.
    """

    validate: Callable[[], float] | None
    sample: Callable[[], tuple[str, ...]]
    save: Callable[[Checkpoint], None]
    step_done: Callable[[int, float | None], None]
    epoch_done: Callable[[Epoch], None]


class Trainer:
    """Trains ``model`` on ``ids`` ``(n,)``; all state that changes lives here, and fits a checkpoint."""

    def __init__(
        self,
        model: CharLM,
        ids: Tensor,
        params: TrainParams,
        seed: int,
        checkpoint_seconds: float,
        hooks: Hooks,
    ) -> None:
        self.model, self.ids, self.params, self.seed, self.hooks = model, ids, params, seed, hooks
        self.checkpoint_seconds = checkpoint_seconds
        self.optimizer = Optimizer(params, model.parameters())
        count = STEPS_PER_EPOCH[params.sampling]
        self.steps_per_epoch = count(len(ids), params.batch_size, params.num_steps)
        self.epoch = 1
        self.sizes: list[int] = []  # characters of each minibatch done in this epoch
        self.history: list[Epoch] = []
        self.best: dict[str, Tensor] = {}
        self._start_epoch(model.initial_state(params.batch_size))

    @property
    def steps_done(self) -> int:
        """Optimiser steps since the start of training."""
        return (self.epoch - 1) * self.steps_per_epoch + len(self.sizes)

    def run(self) -> dict[str, Tensor]:
        """Train to the end and return the weights to keep.

        Raises :class:`RefrainError` if the loss stops being finite, :class:`Stopped` on SIGINT and SIGTERM.
        """
        self.model.train()
        self.saved = time.monotonic()
        with _signals() as received:
            while self.epoch <= self.params.epochs and not self._out_of_patience():
                self._run_epoch(received)
                self._finish_epoch()
        if not all(weight.isfinite().all() for weight in self.model.parameters()):
            raise RefrainError(
                "the last step made the weights infinite: lower train.learning_rate or train.clip"
            )
        self.hooks.save(self.checkpoint())
        return self.best if self.params.keep == "best" and self.best else self.model.state_dict()

    def checkpoint(self) -> Checkpoint:
        """All state of the run, between two minibatches."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items() if not self._is_tied(k)}
        tensors |= {f"optimizer.{k}": v for k, v in self.optimizer.state().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items() if not self._is_tied(k)}
        tensors |= {f"state.{i}": v for i, v in enumerate(self.state)}
        tensors |= {"losses": self.losses, "norms": self.norms}
        tensors |= {f"rng.{k}": v for k, v in get_rng_states(self.ids.device).items()}
        history = [asdict(epoch) for epoch in self.history]
        return Checkpoint(tensors, {"epoch": self.epoch, "sizes": self.sizes, "history": history})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same run."""

        def part(prefix: str) -> dict[str, Tensor]:
            named = {k.removeprefix(prefix): v for k, v in checkpoint.tensors.items() if k.startswith(prefix)}
            if prefix in ("model.", "best.") and named and self.model.config.tied:
                named["embedding.weight"] = named["decoder.weight"]
            return named

        device = self.ids.device
        self.model.load_state_dict(part("model."))
        self.optimizer.restore(part("optimizer."))
        self.best = {k: v.to(device) for k, v in part("best.").items()}
        self.state = tuple(v.to(device) for _, v in sorted(part("state.").items()))
        self.losses = checkpoint.tensors["losses"].to(device)
        self.norms = checkpoint.tensors["norms"].to(device)
        set_rng_states(device, part("rng."))
        self.epoch, self.sizes = checkpoint.values["epoch"], checkpoint.values["sizes"]
        for values in checkpoint.values["history"]:
            self.history.append(Epoch(**{**values, "samples": tuple(values["samples"])}))
            self.hooks.epoch_done(self.history[-1])

    def _start_epoch(self, state: State) -> None:
        self.state = state
        self.losses = torch.zeros(self.steps_per_epoch, device=self.ids.device)
        self.norms = torch.zeros(self.steps_per_epoch, device=self.ids.device)
        self.sizes = []

    def _run_epoch(self, received: list[int]) -> None:
        """The minibatches of the current epoch that are still to do."""
        for inputs, labels in islice(self._batches(), len(self.sizes), None):
            if received or time.monotonic() - self.saved >= self.checkpoint_seconds:
                self.hooks.save(self.checkpoint())
                self.saved = time.monotonic()
            if received:
                raise Stopped(received[0])
            self._step(inputs, labels)
            look = len(self.sizes) % CHECK_STEPS == 0 or len(self.sizes) == self.steps_per_epoch
            self.hooks.step_done(labels.numel(), self._mean_loss() if look else None)

    def _step(self, inputs: Tensor, labels: Tensor) -> None:
        index = len(self.sizes)
        total = self.params.epochs * self.steps_per_epoch
        rate = learning_rate(self.params, self.steps_done, total)
        carried = "consecutive" in self.params.sampling
        state = self.state if carried else self.model.initial_state(inputs.shape[1])
        outputs, state = self.model.outputs(inputs, state)
        decoder = self.model.decoder
        loss = linear_cross_entropy(outputs.flatten(0, 1), decoder.weight, decoder.bias, labels.flatten())
        self.model.zero_grad()
        loss.backward()
        self.losses[index] = loss.detach()
        self.norms[index] = self.optimizer.step(rate)
        if carried:
            self.state = detach(state)
        self.sizes.append(labels.numel())

    def _batches(self) -> Iterator[batches.Batch]:
        size, steps = self.params.batch_size, self.params.num_steps
        if self.params.sampling == "consecutive":
            return batches.consecutive(self.ids, size, steps)
        if self.params.sampling == "classic_consecutive":
            return batches.classic_consecutive(self.ids, size, steps)
        sample = batches.random if self.params.sampling == "random" else batches.classic_random
        return sample(self.ids, size, steps, seeds.generator(self.seed, "epoch", self.epoch))

    def _mean_loss(self) -> float:
        """Loss per character over the epoch so far; :class:`RefrainError` if it is not finite."""
        losses = self.losses[: len(self.sizes)].cpu()
        finite = losses.isfinite()
        if not finite.all():
            first = int((~finite).nonzero()[0])
            step = (self.epoch - 1) * self.steps_per_epoch + first + 1
            before = f", {self.norms[first - 1]:.3g} the step before" if first else ""
            raise RefrainError(
                f"loss is {losses[first].item()} at step {step} (epoch {self.epoch}), with gradient norm "
                f"{self.norms[first]:.3g}{before}: lower train.learning_rate"
                + (" or set train.clip" if self.params.clip is None else " or train.clip")
            )
        sizes = torch.tensor(self.sizes, dtype=torch.float64)
        return float((losses.double() @ sizes) / sizes.sum())

    def _finish_epoch(self) -> None:
        train_loss = self._mean_loss()
        last = self.epoch == self.params.epochs
        valid = None
        if self.hooks.validate and (last or self.epoch % self.params.evaluate_every == 0):
            valid = self.hooks.validate()
            if self.params.keep == "best" and valid < min(self._valid(), default=math.inf):
                self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        every = self.params.sample.every
        samples = self.hooks.sample() if every and self.epoch % every == 0 else ()
        self.history.append(Epoch(self.epoch, perplexity(train_loss), valid, samples))
        self.hooks.epoch_done(self.history[-1])
        self.epoch += 1
        if self.params.sampling == "classic_consecutive":
            self._start_epoch(self.model.initial_state(self.params.batch_size))
        else:  # as one text, as in evaluation: a lane goes on from where its neighbour ended
            self._start_epoch(next_lanes(self.state))

    def _valid(self) -> list[float]:
        return [epoch.valid_perplexity for epoch in self.history if epoch.valid_perplexity is not None]

    def _out_of_patience(self) -> bool:
        valid = self._valid()
        if not valid or not self.params.patience:
            return False
        return len(valid) - 1 - valid.index(min(valid)) >= self.params.patience

    def _is_tied(self, name: str) -> bool:
        return self.model.config.tied and name == "embedding.weight"


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying of them."""
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
