"""The textbook's side of the figures: a process of its own, with PyTorch's defaults, not our settings."""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from types import TracebackType
from typing import Self

import torch

from benchmarks import machine, setups, textbook


class TextbookSide:
    """The process. Enter it before ``device.set_up``, for it inherits the environment."""

    def __enter__(self) -> Self:
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self.call(torch.get_num_threads)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def call(self, function: Callable[..., float], *arguments: object) -> float:
        """What ``function(*arguments)`` returns there."""
        return self._pool.submit(function, *arguments).result()


@cache
def _training(cell: str) -> setups.TextbookTraining:
    return setups.TextbookTraining(cell, *setups.jaychou())


def training_rate(cell: str) -> float:
    """Characters per second of some epochs. The training goes on from call to call."""
    return setups.rate(_training(cell).epochs)


def seconds_to_perplexity(target: float) -> float:
    """Seconds until an epoch's training perplexity is at most ``target``."""
    return setups.seconds_to(setups.TextbookTraining("rnn", *setups.jaychou()).epoch, target)


def generation_rate(cell: str) -> float:
    """Greedy characters per second of one stream."""
    model, _ = setups.same_models(cell, setups.VOCABULARY)
    with torch.no_grad():
        return setups.rate(lambda: len(textbook.generate(model, [0], setups.LENGTH)))


def encoding_rate(language: str) -> float:
    """Megabytes per second that one core counts and encodes, to a list in memory."""
    text = setups.long_text(language)
    with machine.one_core():
        start = time.perf_counter()
        textbook.encode(text)
        return len(text.encode()) / 1e6 / (time.perf_counter() - start)
