"""The state of a training, besides its optimiser and its totals. Each part saves itself."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from pipeline.device import get_rng_states, set_rng_states
from pipeline.errors import RefrainError
from pipeline.nn.language_model import CharLM, next_lanes
from pipeline.training.ranks import Ranks


class Stateful(Protocol):
    """A part of a training that can be saved: tensors and JSON-serialisable values, by name.

    With several ranks, all ranks call both methods and save the same state.
    """

    def state_dict(self) -> dict[str, Any]:
        """The state to save."""

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Restore what :meth:`state_dict` returned."""


@dataclass(frozen=True)
class Epoch:
    """The result of an epoch, which ended with step ``step``, or of the part of it until training stopped.

    ``train_perplexity`` is measured during the epoch, while the weights change, as in textbooks.
    """

    epoch: int
    step: int
    train_perplexity: float


@dataclass(frozen=True)
class Evaluation:
    """What a model achieved after ``step`` steps: validation perplexity and samples, if they were due.

    ``train_perplexity`` is the one of epoch ``epoch`` so far.
    """

    epoch: int
    step: int
    train_perplexity: float
    valid_perplexity: float | None
    samples: tuple[str, ...]


@dataclass
class History:
    """All epochs and evaluations so far."""

    epochs: list[Epoch] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)

    def valid_perplexities(self) -> list[float]:
        """All validation perplexities."""
        valid = (evaluation.valid_perplexity for evaluation in self.evaluations)
        return [perplexity for perplexity in valid if perplexity is not None]

    def is_out_of_patience(self, patience: int | None, newest: float | None = None) -> bool:
        """Whether the last ``patience`` evaluations, with the ``newest`` one, have brought no improvement."""
        valid = self.valid_perplexities() + ([] if newest is None else [newest])
        return bool(patience and valid) and len(valid) - 1 - valid.index(min(valid)) >= (patience or 0)

    def state_dict(self) -> dict[str, Any]:
        """All epochs and evaluations."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self.evaluations = [
            Evaluation(**{**evaluation, "samples": tuple(evaluation["samples"])})
            for evaluation in state["evaluations"]
        ]


class KeptWeights:
    """The weights of ``model`` and, if ``keep`` is "best", those with the best validation perplexity."""

    def __init__(self, model: CharLM, keep: str) -> None:
        self._model, self._keep = model, keep
        self._best: dict[str, Tensor] = {}

    def keep_if_best(self, valid_perplexity: float, history: History) -> None:
        """Keep the current weights if ``valid_perplexity`` is better than all in ``history``."""
        if self._keep == "best" and valid_perplexity < min(history.valid_perplexities(), default=math.inf):
            self._best = {name: weight.detach().clone() for name, weight in self._model.weights().items()}

    def kept(self) -> dict[str, Tensor]:
        """The weights to keep at the end."""
        return self._best or self._model.weights()

    def check_finite(self) -> None:
        """Raise :class:`RefrainError` if a weight is infinite or NaN."""
        if not all(weight.isfinite().all() for weight in self._model.parameters()):
            raise RefrainError(
                "the last step made the weights infinite: lower train.learning_rate or train.clip"
            )

    def state_dict(self) -> dict[str, Any]:
        """The model's weights under ``model``, the best ones under ``best``."""
        model = {f"model.{name}": weight for name, weight in self._model.weights().items()}
        return model | {f"best.{name}": weight for name, weight in self._best.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._model.load_weights(
            {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
        )
        best = {k.removeprefix("best."): v for k, v in state.items() if k.startswith("best.")}
        self._best = {name: weight.to(self._model.device) for name, weight in best.items()}


class LaneStates:
    """The hidden states in which this rank's lanes continue, for sampling methods that carry them.

    Each tensor has the shape ``(num_layers, lanes, hidden_size)``.
    """

    def __init__(self, model: CharLM, batch_size: int, ranks: Ranks) -> None:
        self._model, self._ranks, self._mine = model, ranks, ranks.share(batch_size)
        self.start_epoch(as_ring=False)

    def start_epoch(self, *, as_ring: bool) -> None:
        """Start in the zero state or, if ``as_ring``, each lane in the last state of the lane before it.

        That lane may belong to another rank. Evaluation reads lanes in the same way.
        """
        if as_ring:
            self._take(next_lanes(self._of_all_ranks()))
        else:
            self.states = self._model.initial_state(self._mine.stop - self._mine.start)

    def renew(self, lane: int) -> None:
        """Have a lane, counted among those of all ranks, continue in the zero state."""
        if self._mine.start <= lane < self._mine.stop:
            for tensor in self.states:
                tensor[:, lane - self._mine.start] = 0

    def state_dict(self) -> dict[str, Any]:
        """The states of all ranks' lanes."""
        return {str(index): tensor for index, tensor in enumerate(self._of_all_ranks())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned, even with more or fewer ranks."""
        self._take(tuple(tensor for _, tensor in sorted(state.items())))

    def _of_all_ranks(self) -> tuple[Tensor, ...]:
        everywhere = self._ranks.gather([tensor.cpu() for tensor in self.states])
        return tuple(torch.cat(parts, dim=1) for parts in zip(*everywhere, strict=True))

    def _take(self, states: tuple[Tensor, ...]) -> None:
        self.states = tuple(tensor[:, self._mine].to(self._model.device) for tensor in states)


class RandomStates:
    """The states of the random generators of all ranks, which dropout uses."""

    def __init__(self, device: torch.device, ranks: Ranks) -> None:
        self._device, self._ranks = device, ranks

    def state_dict(self) -> dict[str, Any]:
        """The states of all ranks' generators."""
        everywhere = self._ranks.gather(get_rng_states(self._device))
        return {f"{rank}.{k}": state for rank, states in enumerate(everywhere) for k, state in states.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned. A rank that was not saved keeps its state."""
        prefix = f"{self._ranks.rank}."
        mine = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if mine:
            set_rng_states(self._device, mine)
