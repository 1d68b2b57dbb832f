"""The gradients of a minibatch, computed by one process or several, at once or in microbatches."""

import torch
from torch import Tensor

from pipeline.nn.cell import State
from pipeline.nn.language_model import CharLM, detach
from pipeline.training.optim import memory_order_gradients
from pipeline.training.ranks import Ranks


class Gradients:
    """Computes the gradients of a minibatch's mean loss with respect to ``model``'s weights.

    The lanes are read in ``accumulate`` microbatches, one after the other. Each rank computes the gradients
    of its own lanes. The sum over all ranks is the gradient of the whole minibatch.
    """

    def __init__(self, model: CharLM, accumulate: int, ranks: Ranks) -> None:
        self._model, self._accumulate, self._ranks = model, accumulate, ranks

    def compute(self, inputs: Tensor, labels: Tensor, start: State) -> tuple[Tensor, Tensor | int, State]:
        """Store the gradients in the ``grad`` of the weights.

        ``inputs`` and ``labels`` are ids of shape ``(num_steps, batch_size)``, with the lanes of this rank.

        Returns the mean loss over the whole minibatch, its number of characters, and the detached state in
        which this rank's lanes end. They start in ``start``.
        """
        self._model.zero_grad()
        # With one rank, weight each microbatch by its share of the characters. With several, weight it by its
        # number of characters: _over_all_ranks divides by the total.
        whole = labels.numel() if self._ranks.size == 1 else 1
        loss, ends = labels.new_zeros((), dtype=torch.float32), []
        for micro in microbatches(inputs.shape[1], self._accumulate):
            micro_start = tuple(tensor[:, micro] for tensor in start)
            micro_loss, end = self._model.loss(inputs[:, micro], labels[:, micro], micro_start)
            share = labels[:, micro].numel() / whole
            (micro_loss * share).backward()
            loss += micro_loss.detach() * share
            ends.append(detach(end))
        if not ends:  # this rank has no lanes, because the minibatch has fewer lanes than there are ranks
            for weight in self._model.parameters():
                weight.grad = torch.zeros_like(weight)
        end = tuple(torch.cat(tensors, dim=1) for tensors in zip(*ends, strict=True)) if ends else start
        if self._ranks.size == 1:
            return loss, labels.numel(), end
        return *self._over_all_ranks(loss, labels), end

    def _over_all_ranks(self, loss: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Turn sums over this rank's characters into means over the characters of all ranks."""
        characters = torch.tensor(float(labels.numel()), device=labels.device)
        gradients = memory_order_gradients(self._model.parameters())
        self._ranks.add_up([*gradients, loss, characters])
        for gradient in gradients:
            gradient /= characters
        return loss / characters, characters


def microbatches(lanes: int, most: int) -> list[slice]:
    """Divide ``lanes`` into at most ``most`` non-empty microbatches of nearly equal size."""
    count = min(most, lanes)
    return [slice(lanes * i // count, lanes * (i + 1) // count) for i in range(count)]
