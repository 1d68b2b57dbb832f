"""Whether a library multiplies in the fixed order, and how fast it is, tried on this machine."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.arithmetic.fixed_order import Order, fixed_order_sums
from pipeline.arithmetic.libraries import Library

CHECKED_ENTRIES = 256

COMPARED_ENTRIES = 256
"""With fewer entries, two libraries might agree by chance, so small products are tried again and again."""

MAX_TRIALS = 32

LAST_TERMS, LARGER = 8, 16
"""So many terms at the end are so much larger, because a last chain of one or two terms would hardly show."""

TIMED_ROUNDS = 5


@dataclass(frozen=True)
class Trial:
    """Random operands of a product; with an ``addend``, of ``addend + a @ b``."""

    a: Tensor
    b: Tensor
    addend: Tensor | None

    def result(self, library: Library) -> Tensor:
        """What ``library`` computes."""
        return library(self.a, self.b)(self.a, None if self.addend is None else self.addend.clone())

    def has_fixed_order(self, result: Tensor, order: Order) -> bool:
        """Whether entries of ``result``, in the corners and elsewhere, have the right bits."""
        last_row, last_column = len(self.a) - 1, self.b.shape[1] - 1
        generator = torch.Generator().manual_seed(0)
        rows = torch.randint(last_row + 1, (CHECKED_ENTRIES,), generator=generator)
        columns = torch.randint(last_column + 1, (CHECKED_ENTRIES,), generator=generator)
        rows[:4], columns[:4] = torch.tensor([0, 0, last_row, last_row]), torch.tensor([0, last_column] * 2)
        start = None if self.addend is None else self.addend[rows, columns].numpy()
        sums = fixed_order_sums(self.a[rows].numpy(), self.b[:, columns].t().numpy(), order, start)
        return torch.equal(result[rows, columns], torch.from_numpy(sums))


def random_trials(a: Tensor, b: Tensor, with_addend: bool) -> list[Trial]:
    """Enough trials with operands in the layouts of ``a`` and ``b``.

    The state of PyTorch's own generator does not change.
    """
    trials = []
    for seed in range(min(MAX_TRIALS, -(-COMPARED_ENTRIES // (len(a) * b.shape[1])))):
        generator = torch.Generator().manual_seed(seed)
        addend = torch.randn(len(a), b.shape[1], generator=generator) if with_addend else None
        trial = Trial(_random_like(a, generator), _random_like(b, generator), addend)
        # An expanded operand shares its numbers among several terms.
        last_terms = trial.b[-LAST_TERMS:] if all(b.stride()) else trial.a[:, -LAST_TERMS:]
        last_terms *= LARGER
        trials.append(trial)
    return trials


def _random_like(operand: Tensor, generator: torch.Generator) -> Tensor:
    last = sum((size - 1) * stride for size, stride in zip(operand.shape, operand.stride(), strict=True))
    return torch.randn(last + 1, generator=generator).as_strided(operand.shape, operand.stride())


def fastest(candidates: Iterable[Library], trial: Trial, often: bool) -> Library:
    """The library with the shortest of some rounds, in which all take turns."""
    a, b = trial.a, trial.b
    best = {library: (float("inf"), library(a, b)) for library in candidates}
    if len(best) > 1:
        for _ in range(TIMED_ROUNDS):
            for library, (seconds, multiply) in best.items():
                started = time.perf_counter()
                (multiply if often else library(a, b))(a)
                best[library] = min(seconds, time.perf_counter() - started), multiply
    return min(best, key=lambda library: best[library][0])
