"""The loss of a language model, and what is read off it."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK_LOGITS = 1 << 21
"""Logits that are held at a time: 8 MB of float32."""


def perplexity_of(nats: float) -> float:
    """``exp`` of a mean negative log-likelihood: the vocabulary size for a uniform guess, 1 for perfect.

    Kept within what a float can hold, for models that have diverged.
    """
    return math.exp(min(nats, 700))


class _LinearCrossEntropy(torch.autograd.Function):
    """With ``p = softmax(x W^T + b)`` and one-hot labels ``y``, the gradient by a logit is ``(p - y) / n``.

    The loss is the end of the graph, so that its gradients can be had on the way forward, while the logits
    of a chunk of rows are still in the cache; they are never needed again.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
        count, rows = len(x), max(1, CHUNK_LOGITS // len(weight))
        grad_x, grad_weight, grad_bias = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(bias)
        total, share = x.new_zeros(()), x.new_tensor(-1 / max(count, 1))
        w_t = weight.t()
        for x_rows, labels_rows, grad_rows in zip(
            x.split(rows), labels.split(rows), grad_x.split(rows), strict=True
        ):
            p = torch.mm(x_rows, w_t).add_(bias)
            at = labels_rows.unsqueeze(1)
            p.sub_(p.amax(1, keepdim=True))
            total -= p.gather(1, at).sum()
            sums = p.exp_().sum(1, keepdim=True)
            total += sums.log().sum()
            p.div_(sums.mul_(count)).scatter_add_(1, at, share.expand(at.shape))
            torch.mm(p, weight, out=grad_rows)
            grad_weight.addmm_(p.t(), x_rows)
            grad_bias.add_(p.sum(0))
        ctx.save_for_backward(grad_x, grad_weight, grad_bias)
        return total / count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        return *(gradient * grad_loss for gradient in ctx.saved_tensors), None


def linear_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of ``softmax(x W^T + b)`` and ``labels``, in nats.

    ``x`` is ``(n, hidden_size)``, ``weight`` ``(vocab_size, hidden_size)``, ``labels`` ``(n,)``. The same as
    ``cross_entropy(linear(x, weight, bias), labels)``, without ever keeping all ``n * vocab_size`` logits
    when they are many.
    """
    loss: Tensor = _LinearCrossEntropy.apply(x, weight, bias, labels)
    return loss
