"""A trained model prepared for generation, where each stream reads one character at a time.

Generation cannot batch over time, so each character must cost as little as possible. Whatever stays the same
is computed once, before the first character: a table with the first layer's input for each character, biases
included, and the weights, arranged as the cell's form for generation needs them. A time step is then one
table look-up, a matrix product and a few operations for each layer, and the decoder's product.
"""

from torch import Tensor

from pipeline.arithmetic.products import product
from pipeline.nn.cell import State
from pipeline.nn.language_model import CharLM


class Stepper:
    """Runs a model step by step, without gradients. Use it under ``torch.inference_mode``."""

    def __init__(self, model: CharLM) -> None:
        form = model.cell.generation
        self._step, self._states = form.step, model.cell.states
        self._layers = [form.arrange(model.rnn.layer(index)) for index in range(model.config.num_layers)]
        first = self._layers[0]
        characters = (
            first.inputs if model.embedding is None else product(model.embedding.weight, first.inputs)
        )
        self._characters = characters + first.bias
        self._hidden_size = model.config.hidden_size
        self._decoder, self._decoder_bias = model.decoder.weight.t(), model.decoder.bias

    def __call__(self, ids: Tensor, states: list[State]) -> Tensor:
        """Logits ``(streams, vocab_size)`` of the characters after ``ids`` ``(streams,)``.

        ``states`` has one state per layer, with tensors ``(streams, hidden_size)``. They are replaced by the
        new states.
        """
        x = self._characters.index_select(0, ids)
        for index, layer in enumerate(self._layers):
            if index:
                x = product(states[index - 1][0], layer.inputs).add_(layer.bias)
            states[index] = self._step(x, states[index], layer.recurrent)
        return product(states[-1][0], self._decoder).add_(self._decoder_bias)

    def initial_states(self, streams: int) -> list[State]:
        """The zero state of every layer."""
        zero = self._characters.new_zeros(streams, self._hidden_size)
        return [(zero,) * self._states for _ in self._layers]
