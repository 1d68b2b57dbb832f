"""A trained model prepared for generation, where each stream reads one character at a time.

Generation cannot batch over time, so each character must cost as little as possible. Whatever stays the same
is computed once, before the first character: a table with the first layer's input for each character, biases
included, and the weights, arranged for fast products. A layer's output is multiplied twice: for its own next
step, and for the next layer or the decoder. Both are one product. So a time step is one table look-up, and a
product and a few operations for each layer.
"""

import torch
from torch import Tensor

from pipeline.arithmetic.products import multiplier_with_bias, product
from pipeline.nn.cell import Cell, State, Stepwise
from pipeline.nn.language_model import CharLM


class _Layer:
    """A layer, and the product of its output with its recurrent weights and with the weights of its reader.

    The reader, with the weights ``inputs`` and ``bias``, is the next layer or the decoder.
    """

    def __init__(self, cell: Cell, layer: Stepwise, inputs: Tensor, bias: Tensor, zero: Tensor) -> None:
        streams, width = len(zero), layer.recurrent.shape[1]
        self._step = layer.step
        self._state: State = (zero,) * cell.states
        self._recurrent = zero.new_zeros(streams, width)
        self._widths = width, len(bias)
        self._multiply = multiplier_with_bias(
            zero, torch.cat([layer.recurrent, inputs], 1), torch.cat([bias.new_zeros(width), bias])
        )

    def __call__(self, x: Tensor) -> Tensor:
        """The reader's input after another time step."""
        self._state = self._step(x, self._recurrent, self._state)
        self._recurrent, x = self._multiply(self._state[0]).split_with_sizes(self._widths, 1)
        return x


class Stepper:
    """Runs streams of a model step by step, without gradients. Use it under ``torch.inference_mode``."""

    def __init__(self, model: CharLM, streams: int) -> None:
        weights = map(model.rnn.layer, range(model.config.num_layers))
        layers = [model.cell.prepare_steps(weights_of_layer) for weights_of_layer in weights]
        first, *others = layers
        characters = (
            first.inputs if model.embedding is None else product(model.embedding.weight, first.inputs)
        )
        self._x_of_characters = characters + first.bias
        decoder = (model.decoder.weight.t(), model.decoder.bias)
        readers = [*((layer.inputs, layer.bias) for layer in others), decoder]
        zero = first.bias.new_zeros(streams, model.config.hidden_size)
        self._layers = [
            _Layer(model.cell, layer, *reader, zero) for layer, reader in zip(layers, readers, strict=True)
        ]

    def __call__(self, ids: Tensor) -> Tensor:
        """Logits ``(streams, vocab_size)`` of the characters after ``ids`` ``(streams,)``."""
        x = self._x_of_characters.index_select(0, ids)
        for layer in self._layers:
            x = layer(x)
        return x
