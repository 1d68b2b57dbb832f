"""The gated recurrent unit (Cho et al., 2014)."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline.arithmetic.activations import sigmoid, sigmoid_, tanh, tanh_
from pipeline.arithmetic.products import linear
from pipeline.nn.cell import Cell, State, Stepwise, Weights
from pipeline.nn.through_time import (
    recurrent_weight_gradient,
    sigmoid_slope,
    state_gradients,
    state_sequence,
    step_products,
    tanh_slope,
)


def gru_equations(x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> State:
    """Gates in the order reset, update, new.

    ``n = tanh(x_n + r * (W_n h + b_n))``, ``h' = (1 - z) * n + z * h``. The reset gate acts after the matrix
    product, as in cuDNN and ``torch.nn.GRU``.
    """
    (h,) = state
    x_r, x_z, x_n = x.chunk(3, dim=-1)
    h_r, h_z, h_n = linear(h, weight_hh, bias_hh).chunk(3, dim=-1)
    reset = sigmoid(x_r + h_r)
    update = sigmoid(x_z + h_z)
    new = tanh(x_n + reset * h_n)
    return ((1 - update) * new + update * h,)


class _GRU(torch.autograd.Function):
    """Gates ``r, z, n`` with ``m = W_n h + b_n``: ``n = tanh(x_n + r m)``, ``h' = n + z (h - n)``.

    Backward, from ``dh``: ``da_n = dh (1-z)(1-n^2)``, ``da_z = dh (h-n) z(1-z)``,
    ``da_r = da_n m r(1-r)``, and ``dm = da_n r``; ``dh_{t-1} = dh z + [da_r, da_z, dm] W``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h0: Tensor, w: Tensor, b_x: Tensor, b_h: Tensor) -> Tensor:
        hidden = h0.shape[-1]
        both, last = slice(0, 2 * hidden), slice(2 * hidden, None)
        # After a step, gates holds r, z and, in the columns of n, m.
        gates = torch.empty_like(x)
        torch.add(x[..., both], b_x[both] + b_h[both], out=gates[..., both])
        gates[..., last] = b_h[last]
        new = x[..., last] + b_x[last]
        states, output = state_sequence(h0, len(x))
        r, _, m = (gate.unbind() for gate in gates.split(hidden, -1))
        steps = zip(
            gates.unbind(),
            gates[..., both].unbind(),
            gates[..., hidden : 2 * hidden].unbind(),
            r,
            m,
            new.unbind(),
            output.unbind(),
            strict=True,
        )
        h = h0
        with step_products(h0, w.t()) as multiply:
            for a_t, rz_t, z_t, r_t, m_t, n_t, h_t in steps:
                multiply(h, out=a_t)
                sigmoid_(rz_t)
                tanh_(n_t.addcmul_(r_t, m_t))
                torch.lerp(n_t, h, z_t, out=h_t)
                h = h_t
        ctx.save_for_backward(gates, new, states, w)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        gates, n, states, w = ctx.saved_tensors
        steps, batch, hidden = n.shape
        r, z, m = gates.split(hidden, -1)
        h_previous = states[:-1]
        # Factors of dh in da_n and [da_r, da_z, dm], for all steps at once.
        da_n, da_h = torch.empty_like(n), gates.new_empty(steps, batch, 3, hidden)
        by_r, by_z, by_m = da_h.unbind(2)
        torch.addcmul(slope := tanh_slope(n), slope, z, value=-1, out=da_n)
        torch.mul(da_n, r, out=by_m)
        torch.mul(sigmoid_slope(r).mul_(m), da_n, out=by_r)
        torch.mul(sigmoid_slope(z), torch.sub(h_previous, n, out=slope), out=by_z)
        flat = da_h.flatten(2)
        grad_h0, pairs = state_gradients(grad_output)
        backwards = (reversed(t.unbind()) for t in (da_n, da_h, flat, z))
        with step_products(flat[0], w) as multiply:
            for da_n_t, da_h_t, flat_t, z_t, (dh_t, dh_before) in zip(*backwards, pairs, strict=True):
                da_n_t.mul_(dh_t)
                da_h_t.mul_(dh_t.unsqueeze(1))
                multiply(flat_t, out=dh_before.addcmul_(dh_t, z_t))
        grad_x = torch.cat([flat[..., : 2 * hidden], da_n], -1)
        sum_n, sums = da_n.sum((0, 1)), flat.sum((0, 1))
        grad_b_x = torch.cat([sums[: 2 * hidden], sum_n])
        return grad_x, grad_h0, recurrent_weight_gradient(flat, h_previous), grad_b_x, sums


def _fused(x: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    output = _GRU.apply(x, *state, *weights[1:])
    return output, (output[-1],)


def _stepwise(weights: Weights) -> Stepwise:
    """Four columns per unit: r and z with both biases, the bias of m (which has no input), the input of n."""
    hidden = weights.weight_hh.shape[1]
    inputs = weights.weight_ih.t()
    both = slice(0, 2 * hidden)
    new = slice(2 * hidden, None)
    inputs = torch.cat([inputs[:, both], torch.zeros_like(inputs[:, :hidden]), inputs[:, new]], 1)
    bias = torch.cat(
        [weights.bias_ih[both] + weights.bias_hh[both], weights.bias_hh[new], weights.bias_ih[new]]
    )
    return Stepwise(inputs, bias, weights.weight_hh.t(), _step)


def _step(x: Tensor, recurrent: Tensor, state: State) -> State:
    (h,) = state
    hidden = h.shape[1]
    a = recurrent + x[:, : 3 * hidden]
    r, z = sigmoid_(a[:, : 2 * hidden]).chunk(2, 1)
    n = tanh_(torch.addcmul(x[:, 3 * hidden :], r, a[:, 2 * hidden :]))
    return (torch.lerp(n, h, z),)


GRU = Cell(
    gates=3,
    states=1,
    equations=gru_equations,
    fused=_fused,
    torch=torch.gru,
    stepwise=_stepwise,
)
