"""The loss of a language model."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline.arithmetic.products import product

CHUNK_LOGITS = 1 << 21
"""How many logits are in memory at a time: 8 MB of float32."""


class _LinearCrossEntropy(torch.autograd.Function):
    """With ``p = softmax(x W^T + b)``, one-hot labels ``y``: the gradient of the logits is ``(p - y) / n``.

    The loss is the end of the graph, so the forward pass can compute the gradients, too, while the logits of
    a chunk of rows are still in the processor's cache. The logits are not needed again.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
        rows = max(1, CHUNK_LOGITS // len(weight))
        grads_x, grad_weight, grad_bias = [], torch.zeros_like(weight), torch.zeros_like(bias)
        wide = x.dtype if x.device.type == "mps" else torch.float64  # MPS has no float64
        total = x.new_zeros((), dtype=wide)
        for x_rows, labels_rows in zip(x.split(rows), labels.split(rows), strict=True):
            p = product(x_rows, weight.t()).add_(bias)
            at = labels_rows.unsqueeze(1)
            missing = p.amax(1) - p.gather(1, at).squeeze(1)
            torch.softmax(p, 1, out=p)
            # The largest p is 1 / sum(exp(...)). Processors differ in a logarithm's last bits; float64 has
            # some to spare.
            total += (missing.to(wide) - p.amax(1).to(wide).log()).sum()
            p.scatter_add_(1, at, p.new_full((), -1).expand(at.shape))
            grads_x.append(product(p, weight))
            grad_weight.add_(product(p.t(), x_rows))
            grad_bias.add_(p.sum(0))
        grad_x = grads_x[0] if len(grads_x) == 1 else torch.cat(grads_x)
        ctx.save_for_backward(grad_x, grad_weight, grad_bias)
        ctx.count = max(len(x), 1)
        return (total / len(x)).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        return *(gradient * (grad_loss / ctx.count) for gradient in ctx.saved_tensors), None


def linear_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of ``softmax(x W^T + b)`` and ``labels``, in nats.

    ``x`` is ``(n, hidden_size)``, ``weight`` ``(vocab_size, hidden_size)``, ``labels`` ``(n,)``. The same as
    ``cross_entropy(linear(x, weight, bias), labels)``, but if there are many, the ``n * vocab_size`` logits
    are never all in memory at once.
    """
    loss: Tensor = _LinearCrossEntropy.apply(x, weight, bias, labels)
    return loss
