"""The two sides of a benchmark, set up alike."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import textbook
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.params import TrainParams, load_params
from pipeline.text import catalog
from pipeline.text.corpus import Corpus
from pipeline.training.trainer import Epoch, Hooks, Trainer

HIDDEN, BATCH, STEPS = 256, 32, 35
EPOCHS = 4
"""Epochs of one measurement."""

FOLDER = Path(__file__).parent
RECIPES = Path("replications/recipes")


def _text(name: str, max_chars: int | None = None) -> str:
    """A text of the catalogue, fetched if it is not there yet."""
    entry = catalog.load_catalog()[name]
    settings = load_params().corpus.model_copy(
        update={
            "path": str(catalog.fetch(name)),
            "files": None,
            "normalize": entry.normalize,
            "max_chars": max_chars,
        }
    )
    return "".join(Corpus(settings).read())


def jaychou() -> tuple[Tensor, int]:
    """Ids of the first 10,000 characters, and how many different ones there are."""
    ids, vocab = textbook.encode(_text("jaychou_lyrics", 10_000))
    return torch.tensor(ids), len(vocab)


def long_text(language: str) -> str:
    """Some ten megabytes."""
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
        """Train some epochs; characters."""
        return sum(self._run()[1] for _ in range(EPOCHS))

    def _run(self) -> tuple[float, int]:
        return textbook.train_epoch(self.model, self.optimizer, self.ids, BATCH, STEPS, self.clip)


class OurTraining:
    """Refrain's training, an epoch at a time: the loop of the stage `train`, without its reports."""

    def __init__(
        self,
        cell: str,
        ids: Tensor,
        vocab_size: int,
        precision: str = "highest",
        train: TrainParams | None = None,
    ) -> None:
        torch.manual_seed(0)
        self.ids = ids
        same = {"batch_size": BATCH, "num_steps": STEPS, "optimizer": "adam", "learning_rate": 1e-3}
        same |= {"clip": 0.01, "sampling": "consecutive", "precision": precision, "schedule": "constant"}
        self.params = train or load_params().train.model_copy(update=same)
        model = CharLM(ModelConfig(vocab_size=vocab_size, cell=cell, hidden_size=HIDDEN))
        self.done: list[Epoch] = []
        hooks = Hooks(None, lambda: (), lambda _: None, lambda *_: None, self.done.append)
        self.trainer = Trainer(model, ids.numpy(), self.params, 0, math.inf, hooks)

    def epoch(self) -> float:
        """Train an epoch; its perplexity."""
        self._run(1)
        return self.done[-1].train_perplexity

    def epochs(self) -> int:
        """Train some epochs; characters."""
        return self._run(EPOCHS)

    def _run(self, epochs: int) -> int:
        last = self.trainer.epoch + epochs
        self.trainer.params = self.params.model_copy(update={"epochs": last - 1})
        torch.set_float32_matmul_precision(self.params.precision)
        self.trainer.run()
        torch.set_float32_matmul_precision("highest")
        return epochs * len(self.ids)


def recipe(name: str, ids: Tensor, vocab_size: int) -> OurTraining:
    """The first model of a params file in replications/recipes."""
    params = load_params(RECIPES / f"{name}.yaml")
    model, settings = next(iter(params.models.items()))
    return OurTraining(settings.cell, ids, vocab_size, train=params.train_params(model))


def seconds_to(epoch: Callable[[], float], target: float, most: int = 400) -> float:
    """Seconds until ``epoch`` returns a perplexity of at most ``target``.

    Raises RuntimeError if it never does: a time counts only with its result.
    """
    start = time.perf_counter()
    for _ in range(most):
        if epoch() <= target:
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
    """Characters a second that training would have if it did nothing but its float32 matrix products.

    Forward and backward count three products each of hidden state and decoder; the input costs none.
    """
    vocab_size = 1027
    rates = {}
    for cell, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
        operations = 3 * 2 * HIDDEN * (gates * HIDDEN + vocab_size)
        rates[f"{cell} training"] = gflops * 1e9 / operations
    return rates
