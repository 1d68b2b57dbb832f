"""The gradients of a minibatch, computed by one process or several, at once or in groups of lanes."""

import torch
from torch import Tensor

from pipeline.nn.cell import State
from pipeline.nn.language_model import CharLM, detach
from pipeline.training.optim import memory_order_gradients
from pipeline.training.ranks import Ranks


class Gradients:
    """Computes the gradients of a minibatch's mean loss by ``model``'s weights.

    ``accumulate`` groups of lanes are read one after the other. Each of the ``ranks`` computes the gradients
    of its own lanes; added up, they are those of the whole minibatch.
    """

    def __init__(self, model: CharLM, accumulate: int, ranks: Ranks) -> None:
        self._model, self._accumulate, self._ranks = model, accumulate, ranks

    def compute(self, inputs: Tensor, labels: Tensor, start: State) -> tuple[Tensor, Tensor | int, State]:
        """Leave the gradients in the weights' ``grad``.

        Returns the mean loss over the whole minibatch, its number of characters, and the detached state in
        which this rank's lanes end. ``start`` is the state in which they begin.
        """
        self._model.zero_grad()
        # Alone, a group counts by its share; with other ranks by its characters, until all are added up.
        whole = labels.numel() if self._ranks.size == 1 else 1
        loss, ends = labels.new_zeros((), dtype=torch.float32), []
        for group in lane_groups(inputs.shape[1], self._accumulate):
            group_start = tuple(tensor[:, group] for tensor in start)
            group_loss, end = self._model.loss(inputs[:, group], labels[:, group], group_start)
            share = labels[:, group].numel() / whole
            (group_loss * share).backward()
            loss += group_loss.detach() * share
            ends.append(detach(end))
        if not ends:  # fewer lanes are left than there are ranks
            for weight in self._model.parameters():
                weight.grad = torch.zeros_like(weight)
        end = tuple(torch.cat(parts, dim=1) for parts in zip(*ends, strict=True)) if ends else start
        if self._ranks.size == 1:
            return loss, labels.numel(), end
        return *self._over_all_ranks(loss, labels), end

    def _over_all_ranks(self, loss: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Make sums over this rank's characters means over those of all ranks."""
        characters = torch.tensor(float(labels.numel()), device=labels.device)
        gradients = memory_order_gradients(self._model.parameters())
        self._ranks.add_up([*gradients, loss, characters])
        torch._foreach_div_(gradients, characters)
        return loss / characters, characters


def lane_groups(lanes: int, most: int) -> list[slice]:
    """``lanes`` in at most ``most`` groups of nearly one size, none of them empty."""
    count = min(most, lanes)
    return [slice(lanes * i // count, lanes * (i + 1) // count) for i in range(count)]
