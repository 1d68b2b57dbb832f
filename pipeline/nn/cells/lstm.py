"""Long short-term memory (Hochreiter & Schmidhuber, 1997; forget gate: Gers et al., 2000)."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline.arithmetic.activations import sigmoid, sigmoid_, tanh, tanh_
from pipeline.arithmetic.products import linear
from pipeline.nn.cell import Cell, State, Weights, stepwise_of_one_product
from pipeline.nn.through_time import (
    recurrent_weight_gradient,
    sigmoid_slope,
    state_gradients,
    state_sequence,
    step_products,
    tanh_slope,
)


def lstm_equations(x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> State:
    """Gates in the order input, forget, cell, output: ``c' = f * c + i * g``, ``h' = o * tanh(c')``."""
    h, c = state
    i, f, g, o = (x + linear(h, weight_hh, bias_hh)).chunk(4, dim=-1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return (sigmoid(o) * tanh(c), c)


class _LSTM(torch.autograd.Function):
    """Gates ``i, f, g, o``: ``c' = f c + i g``, ``h' = o tanh(c')``.

    Backward: ``dc += dh o (1 - tanh^2 c')``; ``da_i = dc g i(1-i)``, ``da_f = dc c f(1-f)``,
    ``da_g = dc i (1-g^2)``, ``da_o = dh tanh(c') o(1-o)``; then ``dc_{t-1} = dc f`` and
    ``dh_{t-1} = da W``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h0: Tensor, c0: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        hidden = h0.shape[-1]
        gates = x + b
        states, output = state_sequence(h0, len(x))
        cells, new_cells = state_sequence(c0, len(x))
        tanh_cells = torch.empty_like(output)
        i, f, g, o = (gate.unbind() for gate in gates.split(hidden, -1))
        steps = zip(
            gates.unbind(),
            gates[..., : 2 * hidden].unbind(),
            i,
            f,
            g,
            o,
            new_cells.unbind(),
            tanh_cells.unbind(),
            output.unbind(),
            strict=True,
        )
        h, c = h0, c0
        with step_products(h0, w.t()) as multiply:
            for a_t, if_t, i_t, f_t, g_t, o_t, c_t, tanh_t, h_t in steps:
                multiply(h, out=a_t)
                sigmoid_(if_t)
                tanh_(g_t)
                sigmoid_(o_t)
                torch.mul(f_t, c, out=c_t).addcmul_(i_t, g_t)
                torch.mul(o_t, tanh_(tanh_t.copy_(c_t)), out=h_t)
                h, c = h_t, c_t
        ctx.save_for_backward(gates, cells, tanh_cells, states, w)
        # A copy, because the cells saved for the backward pass must not also be an output.
        return output, c.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor, grad_c: Tensor) -> tuple[Tensor | None, ...]:
        gates, cells, tanh_cells, states, w = ctx.saved_tensors
        steps, batch, hidden = tanh_cells.shape
        i, f, g, o = gates.split(hidden, -1)
        # Factors of dc in [da_i, da_f, da_g] and of dh in da_o, for all steps at once.
        da = gates.new_empty(steps, batch, 4, hidden)
        torch.mul(g, sigmoid_slope(i), out=da[:, :, 0])
        torch.mul(cells[:-1], sigmoid_slope(f), out=da[:, :, 1])
        torch.mul(i, tanh_slope(g), out=da[:, :, 2])
        torch.mul(tanh_cells, sigmoid_slope(o), out=da[:, :, 3])
        dc_by_dh = tanh_slope(tanh_cells).mul_(o)
        da_h = da.flatten(2)
        dc = grad_c.clone()
        grad_h0, pairs = state_gradients(grad_output)
        backwards = (reversed(t.unbind()) for t in (da[:, :, :3], da[:, :, 3], da_h, dc_by_dh, f))
        with step_products(da_h[0], w) as multiply:
            for ifg_t, o_t, da_t, dc_by_dh_t, f_t, (dh_t, dh_before) in zip(*backwards, pairs, strict=True):
                dc.addcmul_(dh_t, dc_by_dh_t)
                ifg_t.mul_(dc.unsqueeze(1))
                o_t.mul_(dh_t)
                dc.mul_(f_t)
                multiply(da_t, out=dh_before)
        return da_h, grad_h0, dc, recurrent_weight_gradient(da_h, states[:-1]), da_h.sum((0, 1))


def _fused(x: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    output, c = _LSTM.apply(x, *state, weights.weight_hh, weights.bias_ih + weights.bias_hh)
    return output, (output[-1], c)


def _step(x: Tensor, recurrent: Tensor, state: State) -> State:
    h, c = state
    hidden = h.shape[1]
    a = x + recurrent
    i, f = sigmoid_(a[:, : 2 * hidden]).chunk(2, 1)
    g, o = a[:, 2 * hidden :].chunk(2, 1)
    c = torch.mul(f, c).addcmul_(i, tanh_(g))
    return (tanh_(c.clone()).mul_(sigmoid_(o)), c)


LSTM = Cell(
    gates=4,
    states=2,
    equations=lstm_equations,
    fused=_fused,
    torch=torch.lstm,
    stepwise=partial(stepwise_of_one_product, step=_step),
)
