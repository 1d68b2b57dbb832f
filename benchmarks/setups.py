"""The two sides of a benchmark, set up alike."""

import math
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from benchmarks import textbook
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.params.corpus import CorpusParams
from pipeline.params.recipes import load_recipe
from pipeline.params.runtime import RuntimeParams
from pipeline.params.train import TrainParams
from pipeline.text.catalog import fetch_text, load_catalog
from pipeline.text.corpus import Corpus
from pipeline.training.loop import Hooks, Trainer
from pipeline.training.state import Epoch

Precision = Literal["highest", "high", "medium"]

HIDDEN, BATCH, STEPS, VOCABULARY = 256, 32, 35, 1027
EPOCHS = 4
"""Epochs of one measurement."""

LENGTH = 400
"""Characters that one measurement generates in each stream."""

FOLDER = Path(__file__).parent


def _text(name: str, max_chars: int | None = None) -> str:
    """A text of the catalogue, fetched if it is not there yet."""
    normalize = load_catalog()[name].normalize
    params = CorpusParams(path=str(fetch_text(name)), normalize=normalize, max_chars=max_chars)
    return "".join(Corpus(params).read())


def jaychou() -> tuple[Tensor, int]:
    """Ids of the first 10,000 characters, and how many different ones there are."""
    ids, vocab = textbook.encode(_text("jaychou_lyrics", 10_000))
    return torch.tensor(ids), len(vocab)


@cache
def long_text(language: str) -> str:
    """Some ten megabytes of English or Chinese."""
    if language == "English":
        return _text("tiny_shakespeare") * 8
    return _text("jaychou_lyrics") * 40


class TextbookTraining:
    """The textbook's training, an epoch at a time."""

    def __init__(self, cell: str, ids: Tensor, vocab_size: int, clip: float = 0.01) -> None:
        torch.manual_seed(0)
        self.ids, self.clip = ids, clip
        self.model = textbook.TextbookModel(cell, vocab_size, HIDDEN)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def epoch(self) -> float:
        """Train an epoch; its perplexity."""
        return math.exp(self._run()[0])

    def epochs(self) -> int:
        """Train some epochs; their characters."""
        return sum(self._run()[1] for _ in range(EPOCHS))

    def _run(self) -> tuple[float, int]:
        return textbook.train_epoch(self.model, self.optimizer, self.ids, BATCH, STEPS, self.clip)


class OurTraining:
    """Refrain's training, an epoch at a time: the steps of the stage train, without its reports."""

    def __init__(
        self,
        cell: str,
        ids: Tensor,
        vocab_size: int,
        precision: Precision = "highest",
        train: TrainParams | None = None,
    ) -> None:
        torch.manual_seed(0)
        self.ids = ids
        self.train = train or like_the_textbook(precision)
        model = CharLM(ModelConfig(vocab_size=vocab_size, cell=cell, hidden_size=HIDDEN)).train()
        self.done: list[Epoch] = []
        hooks = Hooks(None, lambda: (), lambda _: None, lambda *_: None, lambda _: None, self.done.append)
        self.trainer = Trainer(model, ids.numpy(), self.train, RuntimeParams(), 0, hooks)

    def epoch(self) -> float:
        """Train an epoch; its perplexity."""
        self._train(1)
        return self.done[-1].train_perplexity

    def epochs(self) -> int:
        """Train some epochs; their characters."""
        self._train(EPOCHS)
        return EPOCHS * len(self.ids)

    def _train(self, count: int) -> None:
        for _ in range(count):
            for inputs, labels in self.trainer.minibatches():
                self.trainer.step(inputs, labels)
            self.trainer.finish_epoch()


def like_the_textbook(precision: Precision = "highest", batch_size: int = BATCH) -> TrainParams:
    """Training parameters that do the same work as the textbook's training."""
    return TrainParams(
        sampling="consecutive",
        batch_size=batch_size,
        num_steps=STEPS,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="constant",
        clip=0.01,
        precision=precision,
    )


def recipe_training(name: str, ids: Tensor, vocab_size: int) -> OurTraining:
    """The first model of a recipe."""
    params = load_recipe(name)
    model, settings = next(iter(params.models.items()))
    return OurTraining(settings.cell, ids, vocab_size, train=params.train_params(model))


def rate(work: Callable[[], int]) -> float:
    """The number that ``work`` returns (characters), per second."""
    start = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - start)


def seconds_to(train_one: Callable[[], float], target: float, most: int = 400) -> float:
    """Seconds until ``train_one``, which trains an epoch, returns a perplexity of at most ``target``.

    Raises RuntimeError if it never does: a time counts only with its result.
    """
    start = time.perf_counter()
    for _ in range(most):
        if train_one() <= target:
            return time.perf_counter() - start
    raise RuntimeError(f"no perplexity of {target} in {most} epochs")


def same_models(cell: str, vocab_size: int) -> tuple[textbook.TextbookModel, CharLM]:
    """The two models with the same weights."""
    torch.manual_seed(0)
    theirs = textbook.TextbookModel(cell, vocab_size, HIDDEN)
    ours = CharLM(ModelConfig(vocab_size=vocab_size, cell=cell, hidden_size=HIDDEN)).eval()
    ours.rnn.load_state_dict(theirs.rnn.state_dict())
    ours.decoder.load_state_dict(theirs.dense.state_dict())
    return theirs, ours


def ceilings(gflops: float) -> dict[str, float]:
    """Characters a second that training would reach if it did nothing but its float32 matrix products.

    Forward and backward have three products each of hidden state and decoder; the input costs none.
    """
    rates = {}
    for cell, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
        operations = 3 * 2 * HIDDEN * (gates * HIDDEN + VOCABULARY)
        rates[f"{cell} training"] = gflops * 1e9 / operations
    return rates
