"""The character-level language model: input, recurrent layers, decoder.

One minibatch's way through :class:`CharLM`::

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

from pipeline.nn.cell import State
from pipeline.nn.cells import find_cell
from pipeline.nn.loss import linear_cross_entropy
from pipeline.nn.recurrent import Implementation, RecurrentWeights, run_layer


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
    def cell_name(self) -> str:
        """Key of the cell in :data:`pipeline.nn.cells.CELLS`."""
        return f"rnn_{self.nonlinearity}" if self.cell == "rnn" else self.cell


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
        """Where the weights are."""
        return self.decoder.weight.device

    def initial_state(self, batch_size: int) -> State:
        """The zero state: one tensor ``(num_layers, batch_size, hidden_size)``, for LSTM two."""
        shape = (self.config.num_layers, batch_size, self.config.hidden_size)
        return tuple(self.decoder.weight.new_zeros(shape) for _ in range(self.cell.states))

    def forward(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits ``(num_steps, batch_size, vocab_size)`` of the characters after ``ids``, and the state."""
        outputs, state = self.outputs(ids, state)
        return self.decoder(outputs), state

    def loss(self, ids: Tensor, labels: Tensor, state: State) -> tuple[Tensor, State]:
        """Mean cross-entropy of ``labels`` ``(num_steps, batch_size)`` in nats, and the state.

        ``labels`` are the characters after ``ids``.
        """
        outputs, state = self.outputs(ids, state)
        weight, bias = self.decoder.weight, self.decoder.bias
        return linear_cross_entropy(outputs.flatten(0, 1), weight, bias, labels.flatten()), state

    def outputs(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """What the decoder sees, ``(num_steps, batch_size, hidden_size)``, and the state.

        ``ids`` is ``(num_steps, batch_size)``; ``state`` as :meth:`initial_state` gives it.
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
        """All weights by name, each once: of tied tables the decoder's."""
        return {name: weight for name, weight in self.state_dict().items() if name not in self._tied_names()}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`weights` gave; :class:`RuntimeError` if names or shapes are others."""
        tied = dict.fromkeys(self._tied_names(), weights.get("decoder.weight"))
        self.load_state_dict({**weights, **tied})

    def _tied_names(self) -> list[str]:
        return ["embedding.weight"] if self.config.tied else []

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
