"""What a training carries from step to step, besides its optimiser and totals. Each part saves itself."""

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
    """A part of a training that can be saved: tensors, and values that fit JSON, by name.

    With several ranks, all of them call both methods alike, and save the same.
    """

    def state_dict(self) -> dict[str, Any]:
        """The state to save."""

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Undo :meth:`state_dict`."""


@dataclass(frozen=True)
class Epoch:
    """One epoch's results. ``train_perplexity`` is over the epoch while the weights change, as in textbooks;
    ``valid_perplexity`` is of the weights at its end, where the epoch was evaluated.
    """

    epoch: int
    train_perplexity: float
    valid_perplexity: float | None = None
    samples: tuple[str, ...] = ()


@dataclass
class History:
    """All epochs so far."""

    epochs: list[Epoch] = field(default_factory=list)

    def valid_perplexities(self) -> list[float]:
        """Those of the epochs that were evaluated."""
        return [epoch.valid_perplexity for epoch in self.epochs if epoch.valid_perplexity is not None]

    def is_out_of_patience(self, patience: int | None) -> bool:
        """Whether the best evaluation lies ``patience`` evaluations back."""
        valid = self.valid_perplexities()
        return bool(patience and valid) and len(valid) - 1 - valid.index(min(valid)) >= (patience or 0)

    def state_dict(self) -> dict[str, Any]:
        """All epochs."""
        return {"epochs": [asdict(epoch) for epoch in self.epochs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`."""
        self.epochs = [Epoch(**{**epoch, "samples": tuple(epoch["samples"])}) for epoch in state["epochs"]]


class KeptWeights:
    """The weights of ``model``, and with ``keep`` "best" those that had the best validation perplexity."""

    def __init__(self, model: CharLM, keep: str) -> None:
        self._model, self._keep = model, keep
        self._best: dict[str, Tensor] = {}

    def consider(self, valid_perplexity: float, history: History) -> None:
        """Keep the weights as they are, if no evaluation in ``history`` was as good."""
        if self._keep == "best" and valid_perplexity < min(history.valid_perplexities(), default=math.inf):
            self._best = {name: weight.detach().clone() for name, weight in self._model.weights().items()}

    def kept(self) -> dict[str, Tensor]:
        """The weights to keep at the end."""
        return self._best or self._model.weights()

    def check_finite(self) -> None:
        """Raise :class:`RefrainError` if a weight is infinite or no number."""
        if not all(weight.isfinite().all() for weight in self._model.parameters()):
            raise RefrainError(
                "the last step made the weights infinite: lower train.learning_rate or train.clip"
            )

    def state_dict(self) -> dict[str, Any]:
        """The model's weights under ``model``, the best ones under ``best``."""
        model = {f"model.{name}": weight for name, weight in self._model.weights().items()}
        return model | {f"best.{name}": weight for name, weight in self._best.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`."""
        self._model.load_weights(
            {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
        )
        best = {k.removeprefix("best."): v for k, v in state.items() if k.startswith("best.")}
        self._best = {name: weight.to(self._model.device) for name, weight in best.items()}


class LaneStates:
    """The hidden states in which this rank's lanes go on, for samplings that carry them."""

    def __init__(self, model: CharLM, batch_size: int, ranks: Ranks) -> None:
        self._model, self._ranks, self._mine = model, ranks, ranks.share(batch_size)
        self.start_epoch(as_ring=False)

    def start_epoch(self, *, as_ring: bool) -> None:
        """Begin in the zero state or, ``as_ring``, each lane in the state in which its neighbour ended.

        The neighbour may be another rank's. Evaluation reads lanes in the same way.
        """
        if as_ring:
            self._take(next_lanes(self._of_all_ranks()))
        else:
            self.states = self._model.initial_state(self._mine.stop - self._mine.start)

    def state_dict(self) -> dict[str, Any]:
        """The states of all ranks' lanes."""
        return {str(index): tensor for index, tensor in enumerate(self._of_all_ranks())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`, also if there were more or fewer ranks."""
        self._take(tuple(tensor for _, tensor in sorted(state.items())))

    def _of_all_ranks(self) -> tuple[Tensor, ...]:
        everywhere = self._ranks.gather([tensor.cpu() for tensor in self.states])
        return tuple(torch.cat(parts, dim=1) for parts in zip(*everywhere, strict=True))

    def _take(self, states: tuple[Tensor, ...]) -> None:
        self.states = tuple(tensor[:, self._mine].to(self._model.device) for tensor in states)


class RandomStates:
    """The random generators of all ranks, from which dropout draws."""

    def __init__(self, device: torch.device, ranks: Ranks) -> None:
        self._device, self._ranks = device, ranks

    def state_dict(self) -> dict[str, Any]:
        """The states of all ranks' generators."""
        everywhere = self._ranks.gather(get_rng_states(self._device))
        return {f"{rank}.{k}": state for rank, states in enumerate(everywhere) for k, state in states.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`; a rank that was not there keeps the state that it has."""
        prefix = f"{self._ranks.rank}."
        mine = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if mine:
            set_rng_states(self._device, mine)
