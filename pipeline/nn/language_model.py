"""The character-level language model: input, recurrent layers, decoder.

One minibatch's way through :class:`CharLM`::

    ids (num_steps, batch_size)
      -> x        (num_steps, batch_size, gates * hidden_size)   rows of the input weights, or embedding
      -> outputs  (num_steps, batch_size, hidden_size)           once for each layer
      -> logits   (num_steps, batch_size, vocab_size)
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import RefrainError, first_line
from pipeline.nn.cells import CELLS, State
from pipeline.nn.recurrent import Implementation, Weights, run_layer
from pipeline.tensors import read_metadata, read_tensors, write_tensors


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of a :class:`CharLM`. ``embedding_size`` None: one-hot characters."""

    vocab_size: int
    cell: str
    hidden_size: int
    num_layers: int = 1
    nonlinearity: str = "tanh"
    embedding_size: int | None = None
    dropout: float = 0.0
    tied: bool = False

    @property
    def kind(self) -> str:
        """Key of the cell in :data:`pipeline.nn.cells.CELLS`."""
        return f"rnn_{self.nonlinearity}" if self.cell == "rnn" else self.cell


class RecurrentWeights(nn.Module):
    """Weights of all layers, under the names, shapes and initialisation of ``torch.nn.RNN/GRU/LSTM``.

    The input weights of one-hot characters are kept transposed in memory: a character is then a
    contiguous row of them, and multiplying by a one-hot vector is reading that row.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        rows = CELLS[config.kind].gates * hidden
        bound = hidden**-0.5
        for layer in range(config.num_layers):
            width = (config.embedding_size or config.vocab_size) if layer == 0 else hidden
            weight_ih = (
                torch.empty(width, rows).t()
                if layer == 0 and not config.embedding_size
                else torch.empty(rows, width)
            )
            shapes = {"weight_ih": weight_ih, "weight_hh": torch.empty(rows, hidden)}
            shapes |= {"bias_ih": torch.empty(rows), "bias_hh": torch.empty(rows)}
            for name, tensor in shapes.items():
                self.register_parameter(f"{name}_l{layer}", nn.Parameter(tensor.uniform_(-bound, bound)))

    def layer(self, index: int) -> Weights:
        """``weight_ih, weight_hh, bias_ih, bias_hh`` of one layer."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        first, second, third, fourth = (self.get_parameter(f"{name}_l{index}") for name in names)
        return first, second, third, fourth


class CharLM(nn.Module):
    """Recurrent language model over characters (Mikolov et al., 2010; Graves, 2013).

    Input is a one-hot character, as a row of the input weights and never as a dense vector, or an
    embedding. ``dropout`` acts on the embedding, between layers and before the decoder (Zaremba et al.,
    2014). ``tied`` shares the embedding with the decoder (Press & Wolf, 2017). ``implementation`` says how
    the layers are computed, not what: see :mod:`pipeline.nn.recurrent`. Weights are drawn as in ``torch.nn``,
    or with ``init_std`` from N(0, init_std^2) with biases of 0.
    """

    def __init__(
        self, config: ModelConfig, implementation: Implementation = "auto", init_std: float | None = None
    ) -> None:
        super().__init__()
        self.config, self.implementation = config, implementation
        self.embedding = (
            nn.Embedding(config.vocab_size, config.embedding_size) if config.embedding_size else None
        )
        self.rnn = RecurrentWeights(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        if config.tied and self.embedding is not None:
            self.embedding.weight = self.decoder.weight
        if init_std is not None:
            for weight in self.parameters():
                nn.init.normal_(weight, std=init_std) if weight.dim() > 1 else nn.init.zeros_(weight)

    def initial_state(self, batch_size: int) -> State:
        """The zero state: one tensor ``(num_layers, batch_size, hidden_size)``, for LSTM two."""
        shape = (self.config.num_layers, batch_size, self.config.hidden_size)
        weight = self.decoder.weight
        return tuple(weight.new_zeros(shape) for _ in range(CELLS[self.config.kind].states))

    def forward(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits ``(num_steps, batch_size, vocab_size)`` of the characters after ``ids``, and the state."""
        outputs, state = self.outputs(ids, state)
        return self.decoder(outputs), state

    def outputs(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """What the decoder sees, ``(num_steps, batch_size, hidden_size)``, and the state.

        ``ids`` is ``(num_steps, batch_size)``; ``state`` as :meth:`initial_state` gives it.
        """
        inputs = self._drop(self.embedding(ids)) if self.embedding is not None else ids
        new_states = []
        for index in range(self.config.num_layers):
            weights, layer_state = self.rnn.layer(index), tuple(tensor[index] for tensor in state)
            outputs, layer_state = run_layer(
                self.implementation, self.config.kind, inputs, layer_state, weights
            )
            inputs = self._drop(outputs)
            new_states.append(layer_state)
        return inputs, tuple(torch.stack(tensors) for tensors in zip(*new_states, strict=True))

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.config.dropout, self.training)


def detach(state: State) -> State:
    """The same state, cut off from the graph that made it."""
    return tuple(tensor.detach() for tensor in state)


def next_lanes(state: State) -> State:
    """The state each lane of a text should start from, given those in which all lanes ended.

    Lanes lie side by side in the batch, each beginning where the one before it ends; the first begins
    with the text, in the zero state.
    """
    return tuple(torch.cat([torch.zeros_like(t[:, :1]), t[:, :-1]], dim=1) for t in state)


def save_model(path: Path, model: CharLM, weights: Mapping[str, Tensor], vocab_sha256: str) -> None:
    """Write ``weights`` (a state dict of ``model``) with the configuration as safetensors metadata."""
    tied = {"embedding.weight"} if model.config.tied else set()
    metadata = {
        "model": path.stem,
        "config": asdict(model.config),
        "vocab_sha256": vocab_sha256,
        "device": model.decoder.weight.device.type,
    }
    write_tensors(path, {k: v for k, v in weights.items() if k not in tied}, metadata)


def describe_model(path: Path) -> dict[str, Any]:
    """A model's name (``model``), ``config``, ``vocab_sha256`` and the kind of ``device`` it was trained on.

    Raises :class:`RefrainError` if the file is absent or damaged.
    """
    with _explained(path):
        metadata = read_metadata(path)
        return {key: metadata[key] for key in ("model", "config", "vocab_sha256", "device")}


def load_model(path: Path, vocab_sha256: str, device: torch.device) -> CharLM:
    """Read a model for evaluation.

    Raises :class:`RefrainError` if the file is absent, damaged, another model's, or of another vocabulary.
    """
    metadata = describe_model(path)
    if metadata["model"] != path.stem:
        raise RefrainError(f"{path} is of model {metadata['model']}: run `dvc repro train@{path.stem}`")
    if metadata["vocab_sha256"] != vocab_sha256:
        raise RefrainError(f"{path} was trained with another vocabulary: run `dvc repro train@{path.stem}`")
    with _explained(path):
        weights = read_tensors(path)
        model = CharLM(ModelConfig(**metadata["config"]))
        if model.config.tied:
            weights["embedding.weight"] = weights["decoder.weight"]
        model.load_state_dict(weights)
    return model.to(device).eval()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what can go wrong while reading a model into one line."""
    stage = f"train@{path.stem}"
    try:
        yield
    except FileNotFoundError:
        mend = f"run `dvc checkout`, or `dvc repro {stage}` to train it"
        raise RefrainError(f"{path} is not there: {mend}") from None
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise RefrainError(
            f"{path} is damaged ({first_line(error)}): delete it and run `dvc checkout`, or "
            f"`dvc repro --force {stage}` to train it again"
        ) from None
