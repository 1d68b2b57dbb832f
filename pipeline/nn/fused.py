"""Recurrent layers with backward passes through time derived by hand.

Autograd records a dozen small operations for each time step. Here a whole layer is one autograd
function: the forward pass writes each gate in place into one buffer, and the backward pass first
computes every factor that does not depend on the incoming gradient for all steps at once, then walks
back through time with one matrix product a step, and leaves the weight gradients as a single large
product at the end.

In the comments ``dh`` is the loss's derivative by the output of a step and ``da`` by a gate before its
nonlinearity. All sequences are ``(num_steps, batch_size, ...)``. Results agree with
:mod:`pipeline.nn.cells` to rounding; second derivatives are not supported.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline.nn.cells import State

SMALL_PRODUCT = 1 << 22
"""Multiplications below which a product's operands are not worth rounding to bfloat16."""


@contextmanager
def _step_products(h: Tensor, w: Tensor) -> Iterator[None]:
    """Have the products of a time step, ``h W``, in full precision while they are small.

    Rounding takes longer there than it saves, so that ``medium`` would be both slower and less exact.
    """
    precision = torch.get_float32_matmul_precision()
    if precision == "highest" or len(h) * w.numel() > SMALL_PRODUCT:
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)


def _states(first: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Room for a sequence of states: all of it with the ``first``, and those in which steps end."""
    states = first.new_empty(steps + 1, *first.shape)
    states[0] = first
    return states, states[1:]


def _state_gradients(grad_output: Tensor) -> tuple[Tensor, Iterator[tuple[Tensor, Tensor]]]:
    """Gradients of the states, first what they get as outputs; and, from the last step, pairs of them.

    A pair is a step's ``dh`` and that of the step before, to which the step adds its share. What the first
    step adds is the gradient of the initial state, the first entry.
    """
    dh = grad_output.new_empty(len(grad_output) + 1, *grad_output.shape[1:])
    dh[0] = 0
    dh[1:] = grad_output
    backwards = dh.unbind()[::-1]
    return dh[0], pairwise(backwards)


def _weight_gradient(da: Tensor, h_previous: Tensor) -> Tensor:
    """Gradient of ``weight_hh``, summed over steps and batch in one product."""
    return da.flatten(0, 1).t() @ h_previous.flatten(0, 1)


def _one_minus_square(y: Tensor, out: Tensor | None = None) -> Tensor:
    """The derivative of tanh, from its value: ``1 - y^2``."""
    return torch.addcmul(y.new_ones(()), y, y, value=-1, out=out)


def _minus_square(y: Tensor) -> Tensor:
    """The derivative of the sigmoid, from its value: ``y - y^2``."""
    return torch.addcmul(y, y, y, value=-1)


class _RNN(torch.autograd.Function):
    """``h_t = f(x_t + W h_{t-1} + b)``; with ``D_t = f'``: ``da_t = dh_t D_t``, ``dh_{t-1} += da_t W``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, h0: Tensor, w: Tensor, b: Tensor, relu: bool) -> Tensor:
        states, output = _states(h0, len(x))
        torch.add(x, b, out=output)
        w_t = w.t().contiguous()
        h = h0
        with _step_products(h0, w):
            for h_t in output.unbind():
                h_t.addmm_(h, w_t)
                h_t.relu_() if relu else h_t.tanh_()
                h = h_t
        ctx.save_for_backward(states, w)
        ctx.relu = relu
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        states, w = ctx.saved_tensors
        h_previous, output = states[:-1], states[1:]
        da = (output > 0).to(output.dtype) if ctx.relu else _one_minus_square(output)
        grad_h0, pairs = _state_gradients(grad_output)
        with _step_products(grad_h0, w):
            for da_t, (dh_t, dh_before) in zip(reversed(da.unbind()), pairs, strict=True):
                da_t.mul_(dh_t)
                dh_before.addmm_(da_t, w)
        return da, grad_h0, _weight_gradient(da, h_previous), da.sum((0, 1)), None


class _GRU(torch.autograd.Function):
    """Gates ``r, z, n`` with ``m = W_n h + b_n``: ``n = tanh(x_n + r m)``, ``h' = n + z (h - n)``.

    Backward, from ``dh``: ``da_n = dh (1-z)(1-n^2)``, ``da_z = dh (h-n) z(1-z)``,
    ``da_r = da_n m r(1-r)``, and ``dm = da_n r``; ``dh_{t-1} = dh z + [da_r, da_z, dm] W``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h0: Tensor, w: Tensor, b_x: Tensor, b_h: Tensor) -> Tensor:
        hidden = h0.shape[-1]
        both, last = slice(0, 2 * hidden), slice(2 * hidden, None)
        # gates holds r and z once a step is done, and m where n's input was.
        gates = torch.empty_like(x)
        torch.add(x[..., both], b_x[both] + b_h[both], out=gates[..., both])
        gates[..., last] = b_h[last]
        new = x[..., last] + b_x[last]
        states, output = _states(h0, len(x))
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
        w_t = w.t().contiguous()
        h = h0
        with _step_products(h0, w):
            for a_t, rz_t, z_t, r_t, m_t, n_t, h_t in steps:
                a_t.addmm_(h, w_t)
                rz_t.sigmoid_()
                n_t.addcmul_(r_t, m_t).tanh_()
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
        # Factors of dh in [da_n, da_r, da_z, dm], for all steps at once.
        da = gates.new_empty(steps, batch, 4, hidden)
        by_n, by_r, by_z, by_m = da.unbind(2)
        torch.addcmul(slope := _one_minus_square(n), slope, z, value=-1, out=by_n)
        torch.mul(by_n, r, out=by_m)
        torch.mul(_minus_square(r).mul_(m), by_n, out=by_r)
        torch.mul(_minus_square(z), torch.sub(h_previous, n, out=slope), out=by_z)
        da_h = da[:, :, 1:].flatten(2)
        grad_h0, pairs = _state_gradients(grad_output)
        backwards = (reversed(t.unbind()) for t in (da, da_h, z))
        with _step_products(grad_h0, w):
            for da_t, da_h_t, z_t, (dh_t, dh_before) in zip(*backwards, pairs, strict=True):
                da_t.mul_(dh_t.unsqueeze(1))
                dh_before.addcmul_(dh_t, z_t).addmm_(da_h_t, w)
        grad_x = torch.cat([da_h[..., : 2 * hidden], by_n], -1)
        sum_n, *sums = da.sum((0, 1)).unbind()
        grad_b_x, grad_b_h = torch.cat([*sums[:2], sum_n]), torch.cat(sums)
        return grad_x, grad_h0, _weight_gradient(da_h, h_previous), grad_b_x, grad_b_h


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
        states, output = _states(h0, len(x))
        cells, new_cells = _states(c0, len(x))
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
        w_t = w.t().contiguous()
        h, c = h0, c0
        with _step_products(h0, w):
            for a_t, if_t, i_t, f_t, g_t, o_t, c_t, tanh_t, h_t in steps:
                a_t.addmm_(h, w_t)
                if_t.sigmoid_()
                g_t.tanh_()
                o_t.sigmoid_()
                torch.mul(f_t, c, out=c_t).addcmul_(i_t, g_t)
                torch.mul(o_t, torch.tanh(c_t, out=tanh_t), out=h_t)
                h, c = h_t, c_t
        ctx.save_for_backward(gates, cells, tanh_cells, states, w)
        # A copy, so that the cells kept for the backward pass are not also an output.
        return output, c.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor, grad_c: Tensor) -> tuple[Tensor | None, ...]:
        gates, cells, tanh_cells, states, w = ctx.saved_tensors
        steps, batch, hidden = tanh_cells.shape
        i, f, g, o = gates.split(hidden, -1)
        # Factors of dc in [da_i, da_f, da_g] and of dh in da_o, for all steps at once.
        da = gates.new_empty(steps, batch, 4, hidden)
        torch.mul(g, _minus_square(i), out=da[:, :, 0])
        torch.mul(cells[:-1], _minus_square(f), out=da[:, :, 1])
        torch.mul(i, _one_minus_square(g), out=da[:, :, 2])
        torch.mul(tanh_cells, _minus_square(o), out=da[:, :, 3])
        dc_by_dh = _one_minus_square(tanh_cells).mul_(o)
        da_h = da.flatten(2)
        dc = grad_c.clone()
        grad_h0, pairs = _state_gradients(grad_output)
        backwards = (reversed(t.unbind()) for t in (da[:, :, :3], da[:, :, 3], da_h, dc_by_dh, f))
        with _step_products(grad_h0, w):
            for ifg_t, o_t, da_t, dc_by_dh_t, f_t, (dh_t, dh_before) in zip(*backwards, pairs, strict=True):
                dc.addcmul_(dh_t, dc_by_dh_t)
                ifg_t.mul_(dc.unsqueeze(1))
                o_t.mul_(dh_t)
                dc.mul_(f_t)
                dh_before.addmm_(da_t, w)
        return da_h, grad_h0, dc, _weight_gradient(da_h, states[:-1]), da_h.sum((0, 1))


def run_layer(
    kind: str, x: Tensor, state: State, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor
) -> tuple[Tensor, State]:
    """Run one layer over a sequence, as :func:`cells.run_layer` does, but of ``x`` without ``bias_ih``."""
    if kind == "gru":
        output = _GRU.apply(x, *state, weight_hh, bias_ih, bias_hh)
        return output, (output[-1],)
    bias = bias_ih + bias_hh
    if kind == "lstm":
        output, c = _LSTM.apply(x, *state, weight_hh, bias)
        return output, (output[-1], c)
    output = _RNN.apply(x, *state, weight_hh, bias, kind == "rnn_relu")
    return output, (output[-1],)
