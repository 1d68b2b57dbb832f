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

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline.nn.cells import State


def _previous(first: Tensor, sequence: Tensor) -> Tensor:
    """The states each step started from: ``first``, then ``sequence`` without its last entry."""
    return torch.cat([first.unsqueeze(0), sequence[:-1]])


def _weight_gradients(da: Tensor, h_previous: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of ``weight_hh`` and ``bias_hh``, summed over steps and batch in one product."""
    da = da.flatten(0, 1)
    return da.t() @ h_previous.flatten(0, 1), da.sum(0)


class _RNN(torch.autograd.Function):
    """``h_t = f(x_t + W h_{t-1} + b)``; with ``D_t = f'``: ``da_t = dh_t D_t``, ``dh_{t-1} += da_t W``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, h0: Tensor, w: Tensor, b: Tensor, relu: bool) -> Tensor:
        output = x + b
        h, w_t = h0, w.t()
        for h_t in output.unbind():
            h_t.addmm_(h, w_t)
            h_t.relu_() if relu else h_t.tanh_()
            h = h_t
        ctx.save_for_backward(output, h0, w)
        ctx.relu = relu
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        output, h0, w = ctx.saved_tensors
        da = (output > 0).to(output.dtype) if ctx.relu else 1 - output * output
        dh = torch.zeros_like(h0)
        for da_t, grad_t in zip(reversed(da.unbind()), reversed(grad_output.unbind()), strict=True):
            da_t.mul_(dh.add_(grad_t))
            torch.mm(da_t, w, out=dh)
        return da, dh, *_weight_gradients(da, _previous(h0, output)), None


class _GRU(torch.autograd.Function):
    """Gates ``r, z, n`` with ``m = W_n h + b_n``: ``n = tanh(x_n + r m)``, ``h' = n + z (h - n)``.

    Backward, from ``dh``: ``da_n = dh (1-z)(1-n^2)``, ``da_z = dh (h-n) z(1-z)``,
    ``da_r = da_n m r(1-r)``, and ``dm = da_n r``; ``dh_{t-1} = dh z + [da_r, da_z, dm] W``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h0: Tensor, w: Tensor, b: Tensor) -> Tensor:
        steps, batch, hidden = *x.shape[:2], h0.shape[-1]
        # gates holds r and z once a step is done, and m where n's input was.
        gates = torch.cat(
            [x[..., : 2 * hidden] + b[: 2 * hidden], b[2 * hidden :].expand(steps, batch, -1)], -1
        )
        new = torch.empty_like(gates[..., :hidden])
        output = torch.empty_like(new)
        h, w_t = h0, w.t()
        for a_t, x_n, n_t, h_t in zip(
            gates.unbind(), x[..., 2 * hidden :].unbind(), new.unbind(), output.unbind(), strict=True
        ):
            a_t.addmm_(h, w_t)
            r, z, m = a_t.split(hidden, -1)
            a_t[:, : 2 * hidden].sigmoid_()
            torch.addcmul(x_n, r, m, out=n_t).tanh_()
            torch.lerp(n_t, h, z, out=h_t)
            h = h_t
        ctx.save_for_backward(gates, new, output, h0, w)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        gates, n, output, h0, w = ctx.saved_tensors
        steps, batch, hidden = n.shape
        r, z, m = gates.split(hidden, -1)
        h_previous = _previous(h0, output)
        # Factors of dh in [da_r, da_z, dm], for all steps at once.
        by_n = (1 - z) * (1 - n * n)
        by_gate = gates.new_empty(steps, batch, 3, hidden)
        torch.mul(by_n * m, r * (1 - r), out=by_gate[:, :, 0])
        torch.mul(h_previous - n, z * (1 - z), out=by_gate[:, :, 1])
        torch.mul(by_n, r, out=by_gate[:, :, 2])
        dh = torch.zeros_like(h0)
        for t in range(steps - 1, -1, -1):
            dh.add_(grad_output[t])
            by_gate[t].mul_(dh.unsqueeze(1))
            by_n[t].mul_(dh)
            dh.mul_(z[t]).addmm_(by_gate[t].flatten(1), w)
        da_h = by_gate.flatten(2)
        grad_x = torch.cat([da_h[..., : 2 * hidden], by_n], -1)
        return grad_x, dh, *_weight_gradients(da_h, h_previous)


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
        cells = torch.empty_like(gates[..., :hidden])
        tanh_cells = torch.empty_like(cells)
        output = torch.empty_like(cells)
        h, c, w_t = h0, c0, w.t()
        for a_t, c_t, tanh_t, h_t in zip(
            gates.unbind(), cells.unbind(), tanh_cells.unbind(), output.unbind(), strict=True
        ):
            a_t.addmm_(h, w_t)
            a_t[:, : 2 * hidden].sigmoid_()
            a_t[:, 2 * hidden : 3 * hidden].tanh_()
            a_t[:, 3 * hidden :].sigmoid_()
            i, f, g, o = a_t.split(hidden, -1)
            torch.mul(f, c, out=c_t).addcmul_(i, g)
            torch.mul(o, torch.tanh(c_t, out=tanh_t), out=h_t)
            h, c = h_t, c_t
        ctx.save_for_backward(gates, cells, tanh_cells, output, h0, c0, w)
        # A copy, so that the cells kept for the backward pass are not also an output.
        return output, c.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor, grad_c: Tensor) -> tuple[Tensor | None, ...]:
        gates, cells, tanh_cells, output, h0, c0, w = ctx.saved_tensors
        steps, batch, hidden = cells.shape
        i, f, g, o = gates.split(hidden, -1)
        # Factors of dc in [da_i, da_f, da_g] and of dh in da_o, for all steps at once.
        da = gates.new_empty(steps, batch, 4, hidden)
        torch.mul(g, i * (1 - i), out=da[:, :, 0])
        torch.mul(_previous(c0, cells), f * (1 - f), out=da[:, :, 1])
        torch.mul(i, 1 - g * g, out=da[:, :, 2])
        torch.mul(tanh_cells, o * (1 - o), out=da[:, :, 3])
        dc_by_dh = o * (1 - tanh_cells * tanh_cells)
        dh, dc = torch.zeros_like(h0), grad_c.clone()
        for t in range(steps - 1, -1, -1):
            dh.add_(grad_output[t])
            dc.addcmul_(dh, dc_by_dh[t])
            da[t, :, :3].mul_(dc.unsqueeze(1))
            da[t, :, 3].mul_(dh)
            dc.mul_(f[t])
            torch.mm(da[t].flatten(1), w, out=dh)
        da = da.flatten(2)
        return da, dh, dc, *_weight_gradients(da, _previous(h0, output))


def run_layer(kind: str, x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> tuple[Tensor, State]:
    """Run one layer over a sequence; same arguments and results as :func:`cells.run_layer`."""
    if not len(x):
        return x.new_empty(0, *state[0].shape), state
    if kind == "lstm":
        output, c = _LSTM.apply(x, *state, weight_hh, bias_hh)
        return output, (output[-1], c)
    if kind == "gru":
        output = _GRU.apply(x, *state, weight_hh, bias_hh)
    else:
        output = _RNN.apply(x, *state, weight_hh, bias_hh, kind == "rnn_relu")
    return output, (output[-1],)
