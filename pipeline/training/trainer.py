"""The training loop: truncated backpropagation through time, resumable at any minibatch."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
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
from pipeline.text.batches import SAMPLINGS, Batch, Text, Wanted
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.optim import Optimizer, learning_rate
from pipeline.training.ranks import ALONE, Ranks

CHECK_STEPS = 50
"""Steps between two looks at the losses, each of which waits for the device."""

AGREE_STEPS = 10
"""Steps after which several ranks ask one another whether it is time for a checkpoint."""


@dataclass(frozen=True)
class Epoch:
    """One epoch's results. ``train_perplexity`` is over the epoch while the weights change, as in
    textbooks; ``valid_perplexity`` is of the weights at its end, where the epoch was evaluated.
    """

    epoch: int
    train_perplexity: float
    valid_perplexity: float | None = None
    samples: tuple[str, ...] = ()


@dataclass
class Tally:
    """Steps of an epoch whose losses were looked at, the characters in them, and their loss in nats."""

    steps: int = 0
    characters: int = 0
    nats: float = 0.0


class Stopped(Exception):
    """Training was asked to stop by a signal, after writing a checkpoint."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True)
class Hooks:
    """What the loop calls: ``validate`` gives the validation perplexity, ``sample`` texts, ``save`` stores a
    checkpoint, ``step_done`` hears of each step, with how many characters were looked at since the one before
    and the mean loss of the epoch so far (None between two looks), and ``epoch_done`` of each epoch.
    """

    validate: Callable[[], float] | None
    sample: Callable[[], tuple[str, ...]]
    save: Callable[[Checkpoint], None]
    step_done: Callable[[int, float | None], None]
    epoch_done: Callable[[Epoch], None]


class Trainer:
    """Trains ``model`` on ``text``; all state that changes lives here, and fits a checkpoint.

    With several ranks, each has its share of the lanes, and all do everything else alike; ``text`` and what
    ``hooks`` are told and asked are the same on each.
    """

    def __init__(
        self,
        model: CharLM,
        text: Text,
        params: TrainParams,
        seed: int,
        checkpoint_seconds: float,
        hooks: Hooks,
        ranks: Ranks = ALONE,
    ) -> None:
        self.model, self.text, self.params, self.seed, self.hooks = model, text, params, seed, hooks
        self.checkpoint_seconds, self.ranks = checkpoint_seconds, ranks
        self.device = model.decoder.weight.device
        self.optimizer = Optimizer(params, model.parameters())
        self.sampling = SAMPLINGS[params.sampling]
        self.steps_per_epoch = self.sampling.count(len(text), params.batch_size, params.num_steps)
        self.epoch = 1
        # Of the steps since the last look: mean loss, gradient norm (the first is of the step before these),
        # characters.
        self.losses = torch.zeros(CHECK_STEPS, device=self.device)
        self.norms = torch.zeros(CHECK_STEPS + 1, device=self.device)
        self.sizes = torch.zeros(CHECK_STEPS, device=self.device)
        self.history: list[Epoch] = []
        self.best: dict[str, Tensor] = {}
        self._start_epoch(self._zero_state())

    @property
    def epoch_steps(self) -> int:
        """Optimiser steps since the start of the epoch."""
        return self.tally.steps + self.ahead

    @property
    def steps_done(self) -> int:
        """Optimiser steps since the start of training."""
        return (self.epoch - 1) * self.steps_per_epoch + self.epoch_steps

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
        """All state of the run, between two minibatches, the lanes of all ranks together.

        Raises :class:`RefrainError` rather than keep one whose loss is not finite.
        """
        self._look()
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items() if not self._is_tied(k)}
        tensors |= {f"optimizer.{k}": v for k, v in self.optimizer.state().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items() if not self._is_tied(k)}
        everywhere = self.ranks.gather(([t.cpu() for t in self.state], get_rng_states(self.device)))
        lanes = zip(*(state for state, _ in everywhere), strict=True)
        tensors |= {f"state.{i}": torch.cat(parts, dim=1) for i, parts in enumerate(lanes)}
        for rank, (_, rng) in enumerate(everywhere):
            tensors |= {f"rng.{rank}.{k}": v for k, v in rng.items()}
        history = [asdict(epoch) for epoch in self.history]
        return Checkpoint(tensors, {"epoch": self.epoch, "tally": asdict(self.tally), "history": history})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same run."""

        def part(prefix: str) -> dict[str, Tensor]:
            named = {k.removeprefix(prefix): v for k, v in checkpoint.tensors.items() if k.startswith(prefix)}
            if prefix in ("model.", "best.") and named and self.model.config.tied:
                named["embedding.weight"] = named["decoder.weight"]
            return named

        self.model.load_state_dict(part("model."))
        self.optimizer.restore(part("optimizer."))
        self.best = {k: v.to(self.device) for k, v in part("best.").items()}
        mine = self.ranks.share(self.params.batch_size)
        self.state = tuple(v[:, mine].to(self.device) for _, v in sorted(part("state.").items()))
        set_rng_states(self.device, part(f"rng.{self.ranks.rank}."))
        self.epoch, self.tally = checkpoint.values["epoch"], Tally(**checkpoint.values["tally"])
        self.told = self.tally.characters
        for values in checkpoint.values["history"]:
            self.history.append(Epoch(**{**values, "samples": tuple(values["samples"])}))
            self.hooks.epoch_done(self.history[-1])

    def _start_epoch(self, state: State) -> None:
        self.state, self.tally = state, Tally()
        self.ahead = 0  # steps done since those that were looked at
        self.told = 0  # characters that the hooks have heard of

    def _zero_state(self) -> State:
        mine = self.ranks.share(self.params.batch_size)
        return self.model.initial_state(mine.stop - mine.start)

    def _run_epoch(self, received: list[int]) -> None:
        """The minibatches of the current epoch that are still to do."""
        for inputs, labels in self._batches():
            if self._is_time_to_save(received):
                self.hooks.save(self.checkpoint())
                self.saved = time.monotonic()
                if self.ranks.any(bool(received), self.device):
                    raise Stopped(received[0] if received else signal.SIGTERM)
            self._step(inputs, labels)
            look = self.epoch_steps % CHECK_STEPS == 0 or self.epoch_steps == self.steps_per_epoch
            loss = self._mean_loss() if look else None
            self.hooks.step_done(self.tally.characters - self.told, loss)
            self.told = self.tally.characters

    def _is_time_to_save(self, received: list[int]) -> bool:
        here = bool(received) or time.monotonic() - self.saved >= self.checkpoint_seconds
        if self.ranks.size == 1:
            return here
        return self.steps_done % AGREE_STEPS == 0 and self.ranks.any(here, self.device)

    def _batches(self) -> Iterator[Batch]:
        """This rank's share of the minibatches of the current epoch that are still to do."""
        return self.sampling.batches(
            self.text,
            self.params.batch_size,
            self.params.num_steps,
            seeds.generator(self.seed, "epoch", self.epoch),
            Wanted(self.epoch_steps, self.ranks.share, self.device),
        )

    def _step(self, inputs: Tensor, labels: Tensor) -> None:
        total = self.params.epochs * self.steps_per_epoch
        rate = learning_rate(self.params, self.steps_done, total)
        self.losses[self.ahead], self.sizes[self.ahead] = self._backward(inputs, labels)
        self.norms[self.ahead + 1] = self.optimizer.step(rate)
        self.ahead += 1

    def _backward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | int]:
        """Gradients of the minibatch's mean loss, that loss, and how many characters it is of.

        With ``accumulate``, lanes are read in so many groups, one after the other.
        """
        self.model.zero_grad()
        carried = self.sampling.carried
        start = self.state if carried else self.model.initial_state(inputs.shape[1])
        # Alone, a group counts by its share; with other ranks by its characters, until all are added up.
        whole = labels.numel() if self.ranks.size == 1 else 1
        loss, ends = labels.new_zeros((), dtype=torch.float32), []
        for group in _groups(inputs.shape[1], self.params.accumulate):
            group_loss, end = self._loss(
                inputs[:, group], labels[:, group], tuple(t[:, group] for t in start)
            )
            share = labels[:, group].numel() / whole
            (group_loss * share).backward()
            loss += group_loss.detach() * share
            ends.append(detach(end))
        if not ends:  # fewer lanes are left than there are ranks
            for weight in self.model.parameters():
                weight.grad = torch.zeros_like(weight)
        elif carried:
            self.state = tuple(torch.cat(parts, dim=1) for parts in zip(*ends, strict=True))
        if self.ranks.size == 1:
            return loss, labels.numel()
        size = torch.tensor(float(labels.numel()), device=self.device)
        gradients = self.optimizer.gradients()
        self.ranks.add_up([*gradients, loss, size])
        torch._foreach_div_(gradients, size)
        return loss / size, size

    def _loss(self, inputs: Tensor, labels: Tensor, state: State) -> tuple[Tensor, State]:
        """Mean loss of some lanes, and the state after them."""
        outputs, state = self.model.outputs(inputs, state)
        decoder = self.model.decoder
        loss = linear_cross_entropy(outputs.flatten(0, 1), decoder.weight, decoder.bias, labels.flatten())
        return loss, state

    def _look(self) -> None:
        """Fetch the losses since the last look; :class:`RefrainError` if one is not finite."""
        losses, sizes = self.losses[: self.ahead].tolist(), self.sizes[: self.ahead].tolist()
        for index, (loss, size) in enumerate(zip(losses, sizes, strict=True)):
            if not math.isfinite(loss):
                before = f", {self.norms[index]:.3g} the step before" if self.norms[index] else ""
                raise RefrainError(
                    f"loss is {loss} at step {self.steps_done - self.ahead + index + 1} (epoch "
                    f"{self.epoch}), with gradient norm {self.norms[index + 1]:.3g}{before}: lower "
                    "train.learning_rate"
                    + (" or set train.clip" if self.params.clip is None else " or train.clip")
                )
            # One after the other, so that it does not matter how often one looks.
            self.tally.nats += loss * int(size)
            self.tally.characters += int(size)
        self.norms[0] = self.norms[self.ahead]
        self.tally.steps += self.ahead
        self.ahead = 0

    def _mean_loss(self) -> float:
        """Loss per character over the epoch so far; :class:`RefrainError` if it is not finite."""
        self._look()
        return self.tally.nats / self.tally.characters

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
        self._start_epoch(self._next_lanes() if self.sampling.as_ring else self._zero_state())

    def _next_lanes(self) -> State:
        """As in evaluation, a lane goes on from where its neighbour ended, which another rank may have."""
        everywhere = self.ranks.gather([tensor.cpu() for tensor in self.state])
        state = tuple(torch.cat(parts, dim=1) for parts in zip(*everywhere, strict=True))
        mine = self.ranks.share(self.params.batch_size)
        return tuple(t[:, mine].to(self.device) for t in next_lanes(state))

    def _valid(self) -> list[float]:
        return [epoch.valid_perplexity for epoch in self.history if epoch.valid_perplexity is not None]

    def _out_of_patience(self) -> bool:
        valid = self._valid()
        if not valid or not self.params.patience:
            return False
        return len(valid) - 1 - valid.index(min(valid)) >= self.params.patience

    def _is_tied(self, name: str) -> bool:
        return self.model.config.tied and name == "embedding.weight"


def _groups(columns: int, most: int) -> list[slice]:
    """Columns in so many groups of nearly one size, or in fewer; none is empty."""
    count = min(most, columns)
    return [slice(columns * i // count, columns * (i + 1) // count) for i in range(count)]


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
