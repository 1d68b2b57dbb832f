"""The Elman RNN (Elman, 1990), with tanh or relu."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline.arithmetic.activations import tanh, tanh_, tanh_of_half_
from pipeline.arithmetic.products import linear
from pipeline.nn.cell import Cell, State, Stepwise, Weights, stepwise_of_one_product
from pipeline.nn.through_time import (
    recurrent_weight_gradient,
    state_gradients,
    state_sequence,
    step_products,
    tanh_slope,
)


def tanh_equations(x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> State:
    """``h' = tanh(x + W h + b)``."""
    return (tanh(x + linear(state[0], weight_hh, bias_hh)),)


def relu_equations(x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> State:
    """``h' = relu(x + W h + b)``."""
    return (torch.relu(x + linear(state[0], weight_hh, bias_hh)),)


class _RNN(torch.autograd.Function):
    """``h_t = f(x_t + W h_{t-1} + b)``.

    Backward, with ``D_t = f'``: ``da_t = dh_t D_t``, ``dh_{t-1} += da_t W``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h0: Tensor, w: Tensor, b: Tensor, relu: bool) -> Tensor:
        states, output = state_sequence(h0, len(x))
        torch.add(x, b, out=output)
        h = h0
        with step_products(h0, w.t()) as multiply:
            for h_t in output.unbind():
                multiply(h, out=h_t)
                h_t.relu_() if relu else tanh_(h_t)
                h = h_t
        ctx.save_for_backward(states, w)
        ctx.relu = relu
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        states, w = ctx.saved_tensors
        h_previous, output = states[:-1], states[1:]
        da = (output > 0).to(output.dtype) if ctx.relu else tanh_slope(output)
        grad_h0, pairs = state_gradients(grad_output)
        with step_products(grad_h0, w) as multiply:
            for da_t, (dh_t, dh_before) in zip(reversed(da.unbind()), pairs, strict=True):
                da_t.mul_(dh_t)
                multiply(da_t, out=dh_before)
        return da, grad_h0, recurrent_weight_gradient(da, h_previous), da.sum((0, 1)), None


def _fused_tanh(x: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    output = _RNN.apply(x, *state, weights.weight_hh, weights.bias_ih + weights.bias_hh, False)
    return output, (output[-1],)


def _fused_relu(x: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    output = _RNN.apply(x, *state, weights.weight_hh, weights.bias_ih + weights.bias_hh, True)
    return output, (output[-1],)


def _stepwise_tanh(weights: Weights) -> Stepwise:
    # Twice the weights give exactly twice the sum, so that no step has to double it.
    return stepwise_of_one_product(Weights(*(2 * weight for weight in weights)), _tanh_step)


def _tanh_step(doubled_x: Tensor, doubled_recurrent: Tensor, _: State) -> State:
    return (tanh_of_half_(doubled_x + doubled_recurrent),)


def _relu_step(x: Tensor, recurrent: Tensor, _: State) -> State:
    return (torch.relu(x + recurrent),)


RNN_TANH = Cell(
    gates=1,
    states=1,
    equations=tanh_equations,
    fused=_fused_tanh,
    torch=torch.rnn_tanh,
    stepwise=_stepwise_tanh,
)

RNN_RELU = Cell(
    gates=1,
    states=1,
    equations=relu_equations,
    fused=_fused_relu,
    torch=torch.rnn_relu,
    stepwise=partial(stepwise_of_one_product, step=_relu_step),
)
