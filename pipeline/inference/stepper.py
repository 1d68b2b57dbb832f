"""A trained model, made ready to read one character a stream at a time.

Generation cannot batch over time: what counts is how little is done for each character. So what does not
change is computed before the first one (the first layer's share of each character with its biases, a row a
character; transposed weights), and a step is a look-up, a product and a few operations in place a layer,
and the decoder's product.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.nn.cells import CELLS, State
from pipeline.nn.language_model import CharLM


@dataclass(frozen=True)
class _Layer:
    """``weight`` is ``weight_hh`` transposed; ``inputs`` and ``bias`` are for layers that follow another."""

    weight: Tensor
    inputs: Tensor
    bias: Tensor


class Stepper:
    """Steps through a model without gradients; to be used under ``torch.inference_mode``."""

    def __init__(self, model: CharLM) -> None:
        self._kind, hidden = model.config.kind, model.config.hidden_size
        self._hidden = hidden
        self._layers = []
        for index in range(model.config.num_layers):
            weight_ih, weight_hh, bias_ih, bias_hh = model.rnn.layer(index)
            inputs = weight_ih.t()
            if self._kind == "gru":
                # One column more: what n adds to its product with h, then what it takes from the input.
                inputs = torch.cat(
                    [inputs[:, : 2 * hidden], torch.zeros_like(inputs[:, :hidden]), inputs[:, 2 * hidden :]],
                    1,
                )
                both = bias_ih[: 2 * hidden] + bias_hh[: 2 * hidden]
                bias = torch.cat([both, bias_hh[2 * hidden :], bias_ih[2 * hidden :]])
            else:
                bias = bias_ih + bias_hh
            self._layers.append(_Layer(weight_hh.t().contiguous(), inputs.contiguous(), bias))
        first = self._layers[0]
        characters = first.inputs if model.embedding is None else model.embedding.weight @ first.inputs
        self._characters = characters + first.bias
        self._decoder, self._decoder_bias = model.decoder.weight.t(), model.decoder.bias

    def __call__(self, ids: Tensor, states: list[State]) -> Tensor:
        """Logits ``(streams, vocab_size)`` of the characters after ``ids`` ``(streams,)``.

        ``states``, one a layer with tensors ``(streams, hidden_size)``, are replaced by the new ones.
        """
        x = self._characters.index_select(0, ids)
        for index, layer in enumerate(self._layers):
            if index:
                x = torch.addmm(layer.bias, states[index - 1][0], layer.inputs)
            states[index] = self._step(x, states[index], layer.weight)
        return torch.addmm(self._decoder_bias, states[-1][0], self._decoder)

    def initial_states(self, streams: int) -> list[State]:
        """Zero states."""
        zero = self._characters.new_zeros(streams, self._hidden)
        return [(zero,) * CELLS[self._kind].states for _ in self._layers]

    def _step(self, x: Tensor, state: State, weight: Tensor) -> State:
        hidden, h = self._hidden, state[0]
        if self._kind == "gru":
            a = torch.addmm(x[:, : 3 * hidden], h, weight)
            r, z = a[:, : 2 * hidden].sigmoid_().chunk(2, 1)
            n = torch.addcmul(x[:, 3 * hidden :], r, a[:, 2 * hidden :]).tanh_()
            return (torch.lerp(n, h, z),)
        a = torch.addmm(x, h, weight)
        if self._kind == "lstm":
            i, f = a[:, : 2 * hidden].sigmoid_().chunk(2, 1)
            g, o = a[:, 2 * hidden :].chunk(2, 1)
            c = torch.mul(f, state[1]).addcmul_(i, g.tanh_())
            return (torch.tanh(c).mul_(o.sigmoid_()), c)
        return (a.relu_() if self._kind == "rnn_relu" else a.tanh_(),)
