"""The character-level language model: input, recurrent layers, decoder.

The path of a minibatch through :class:`CharLM`::

    ids (num_steps, batch_size)
      -> x        (num_steps, batch_size, gates * hidden_size)   rows of the input weights, or embedding
      -> outputs  (num_steps, batch_size, hidden_size)           once for each layer
      -> logits   (num_steps, batch_size, vocab_size)            or the loss, without keeping all logits
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.arithmetic.products import linear
from pipeline.nn.cell import State
from pipeline.nn.cells import find_cell
from pipeline.nn.loss import linear_cross_entropy
from pipeline.nn.recurrent import Implementation, RecurrentWeights, run_layer


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of a :class:`CharLM`. With ``embedding_size`` None, characters are one-hot."""

    vocab_size: int
    cell: str
    hidden_size: int
    num_layers: int = 1
    nonlinearity: str = "tanh"
    embedding_size: int | None = None
    dropout: float = 0.0
    tied: bool = False

    @property
    def cell_name(self) -> str:
        """Key of the cell in :data:`pipeline.nn.cells.CELLS`."""
        return f"rnn_{self.nonlinearity}" if self.cell == "rnn" else self.cell


class CharLM(nn.Module):
    """Recurrent language model over characters (Mikolov et al., 2010; Graves, 2013).

    The input is an embedding or a one-hot character. The latter selects a row of the input weights; only the
    implementation ``torch`` makes a dense vector of it. ``dropout`` acts on the embedding, between layers and
    before the decoder (Zaremba et al., 2014). ``tied`` shares the embedding with the decoder (Press & Wolf,
    2017). ``implementation`` changes how the layers are computed, but not the result beyond rounding: see
    :mod:`pipeline.nn.recurrent`. Initial weights are drawn as in ``torch.nn`` or, with ``init_std``, from
    N(0, init_std^2); biases are then 0.
    """

    def __init__(
        self, config: ModelConfig, implementation: Implementation = "auto", init_std: float | None = None
    ) -> None:
        super().__init__()
        self.config, self.implementation = config, implementation
        self.cell = find_cell(config.cell_name)
        vocab_size, hidden_size = config.vocab_size, config.hidden_size
        self.embedding = nn.Embedding(vocab_size, config.embedding_size) if config.embedding_size else None
        self.rnn = RecurrentWeights(
            self.cell, vocab_size, config.embedding_size, hidden_size, config.num_layers
        )
        self.decoder = nn.Linear(hidden_size, vocab_size)
        if config.tied and self.embedding is not None:
            self.embedding.weight = self.decoder.weight
        if init_std is not None:
            for weight in self.parameters():
                nn.init.normal_(weight, std=init_std) if weight.dim() > 1 else nn.init.zeros_(weight)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.decoder.weight.device

    def initial_state(self, batch_size: int) -> State:
        """The zero state: one tensor ``(num_layers, batch_size, hidden_size)``, or two for LSTM."""
        shape = (self.config.num_layers, batch_size, self.config.hidden_size)
        return tuple(self.decoder.weight.new_zeros(shape) for _ in range(self.cell.states))

    def forward(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits ``(num_steps, batch_size, vocab_size)`` of the characters after ``ids``; the new state."""
        outputs, state = self.outputs(ids, state)
        return linear(outputs, self.decoder.weight, self.decoder.bias), state

    def loss(self, ids: Tensor, labels: Tensor, state: State) -> tuple[Tensor, State]:
        """Mean cross-entropy of ``labels`` ``(num_steps, batch_size)`` in nats, and the new state.

        ``labels`` are the characters after ``ids``.
        """
        outputs, state = self.outputs(ids, state)
        weight, bias = self.decoder.weight, self.decoder.bias
        return linear_cross_entropy(outputs.flatten(0, 1), weight, bias, labels.flatten()), state

    def outputs(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """The decoder's input ``(num_steps, batch_size, hidden_size)``, and the new state.

        ``ids`` is ``(num_steps, batch_size)``; ``state`` has the shapes of :meth:`initial_state`.
        """
        inputs = self._drop(self.embedding(ids)) if self.embedding is not None else ids
        new_states = []
        for index in range(self.config.num_layers):
            weights, layer_state = self.rnn.layer(index), tuple(tensor[index] for tensor in state)
            outputs, layer_state = run_layer(self.implementation, self.cell, inputs, layer_state, weights)
            inputs = self._drop(outputs)
            new_states.append(layer_state)
        return inputs, tuple(torch.stack(tensors) for tensors in zip(*new_states, strict=True))

    def weights(self) -> dict[str, Tensor]:
        """All weights by name, each once: a tied table has the decoder's name."""
        return {name: weight for name, weight in self.state_dict().items() if name not in self._tied_names()}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Load what :meth:`weights` returned. Raise :class:`RuntimeError` if names or shapes differ."""
        tied = dict.fromkeys(self._tied_names(), weights.get("decoder.weight"))
        self.load_state_dict({**weights, **tied})

    def _tied_names(self) -> list[str]:
        return ["embedding.weight"] if self.config.tied else []

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.config.dropout, self.training)


def detach(state: State) -> State:
    """The same state, detached from the autograd graph."""
    return tuple(tensor.detach() for tensor in state)


def next_lanes(state: State) -> State:
    """The state in which each lane of a text should start, given the states in which all lanes ended.

    Each lane continues where the lane before it in the batch ends. The first lane starts with the text, in
    the zero state.
    """
    return tuple(torch.cat([torch.zeros_like(t[:, :1]), t[:, :-1]], dim=1) for t in state)
