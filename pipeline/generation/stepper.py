"""A trained model prepared for generation, where each stream reads one character at a time.

Generation cannot batch over time, so each character must cost as little as possible. Whatever stays the same
is computed once, before the first character: a table with the first layer's input for each character, biases
included, and the weights, arranged for fast products. A layer's output is multiplied twice: for its own next
step, and for the next layer or the decoder. Both are one product. So a time step is one table look-up, and a
product and a few operations for each layer.
"""

import torch
from torch import Tensor

from pipeline.arithmetic.products import multiplier, product
from pipeline.nn.cell import State
from pipeline.nn.language_model import CharLM


class Stepper:
    """Runs streams of a model step by step, without gradients. Use it under ``torch.inference_mode``."""

    def __init__(self, model: CharLM, streams: int) -> None:
        weights = map(model.rnn.layer, range(model.config.num_layers))
        layers = [model.cell.prepare_steps(weights_of_layer) for weights_of_layer in weights]
        first, *others = layers
        decoder = model.decoder
        characters = (
            first.inputs if model.embedding is None else product(model.embedding.weight, first.inputs)
        )
        self._x_of_characters = characters + first.bias
        zero = first.bias.new_zeros(streams, model.config.hidden_size)
        self._states: list[State] = [(zero,) * model.cell.states for _ in layers]
        self._steps = [layer.step for layer in layers]
        readers = [*(layer.inputs for layer in others), decoder.weight.t()]
        pairs = [(layer.recurrent, reader) for layer, reader in zip(layers, readers, strict=True)]
        self._products = [multiplier(zero, torch.cat(pair, 1)) for pair in pairs]
        self._widths = [(recurrent.shape[1], reader.shape[1]) for recurrent, reader in pairs]
        self._recurrent = [zero.new_zeros(streams, width) for width, _ in self._widths]
        self._biases = [*(layer.bias for layer in others), decoder.bias]

    def __call__(self, ids: Tensor) -> Tensor:
        """Logits ``(streams, vocab_size)`` of the characters after ``ids`` ``(streams,)``."""
        x = self._x_of_characters.index_select(0, ids)
        for index, step in enumerate(self._steps):
            state = step(x, self._recurrent[index], self._states[index])
            self._states[index] = state
            self._recurrent[index], x = self._products[index](state[0]).split(self._widths[index], 1)
            x = x + self._biases[index]
        return x
