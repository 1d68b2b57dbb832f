"""Run one recipe, print what the textbook's pages print, and write what it gave.

python -m replications.run rnn-torch rnn-torch
python -m replications.run relu rnn-torch models.rnn.nonlinearity=relu
"""

import argparse
import time
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from flows.experiment import overridden
from pipeline.device import choose_device, describe_device, set_up
from pipeline.errors import RefrainError
from pipeline.evaluation.baselines import Baselines
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.params import ModelParams, Params
from pipeline.program import run
from pipeline.reporting.provenance import versions
from pipeline.text.corpus import Corpus, split_bounds
from pipeline.text.vocab import Vocab, build_vocab, check_prefixes, count_chars
from pipeline.training.hooks import sampler, validator
from pipeline.training.trainer import Epoch, Hooks, Trainer
from replications.results import RECIPES, Result, Sample, Timing, write

Ids = NDArray[np.int64]


class Printer:
    """Tells of the training as the textbook's pages do, and keeps what the result needs."""

    def __init__(self, params: Params, model: str, device: str) -> None:
        self._train, self._device = params.train_params(model), device
        self.epochs: list[Epoch] = []
        self.samples: list[Sample] = []
        self.seconds: list[float] = []
        self.characters = 0
        self._started = time.perf_counter()

    def sample(self, epoch: int, texts: tuple[str, ...]) -> None:
        """Print a sample for each prefix."""
        self.samples.append(Sample(epoch, list(texts)))
        for prefix, text in zip(self._train.sample.prefixes, texts, strict=True):
            print(f" - {prefix}{text}", flush=True)

    def step(self, characters: int, _loss: float | None) -> None:
        """Count characters."""
        self.characters += characters

    def epoch(self, epoch: Epoch) -> None:
        """An epoch's line at the end of each period."""
        now = time.perf_counter()
        self.seconds.append(now - self._started)
        self.epochs.append(epoch)
        if epoch.samples:
            print(
                f"epoch {epoch.epoch}, perplexity {epoch.train_perplexity:.4f}, "
                f"time {median(self.seconds):.2f} sec, {self.speed():,.0f} characters/s on {self._device}"
            )
            self.sample(epoch.epoch, epoch.samples)
        self._started = time.perf_counter()

    def speed(self) -> float:
        """Characters a second in a median epoch."""
        return self.characters / len(self.seconds) / median(self.seconds)


def main(name: str, recipe: str, changes: list[str]) -> None:
    """Run a recipe with some keys changed, and write its files."""
    write(name, *train_recipe(name, recipe, changes))


def train_recipe(name: str, recipe: str, changes: list[str]) -> tuple[Result, list[Sample], Timing]:
    """Train the one model of a recipe; a training whose loss stops being finite is a result, too."""
    params = overridden(RECIPES / f"{recipe}.yaml", changes)
    model, settings = _only_model(params, recipe)
    train = params.train_params(model)
    device = choose_device(params.device)
    set_up(device, params.threads, train.precision, settings.hidden_size)
    vocab, splits = encode(params)

    torch.manual_seed(params.seed)
    lm = CharLM(ModelConfig(len(vocab), **settings.architecture), train.implementation, settings.init_std)
    lm.to(device)
    printer, sample = Printer(params, model, describe_device(device)), sampler(lm, vocab, train.sample)
    if train.sample.every:
        print(f"{name}, untrained (vocabulary of {len(vocab):,})")
        printer.sample(0, sample())
    hooks = Hooks(validator(lm, splits["valid"]), sample, lambda _: None, printer.step, printer.epoch)
    trainer = Trainer(lm, splits["train"], train, params.seed, params.checkpoint_seconds, hooks)
    started, stopped = time.perf_counter(), None
    try:
        trainer.run()
    except RefrainError as error:
        stopped = str(error)
        print(stopped)
    result = Result(
        recipe=recipe,
        changes=changes,
        seed=params.seed,
        characters=len(splits["train"]),
        vocab_size=len(vocab),
        prefixes=train.sample.prefixes,
        perplexity=[epoch.train_perplexity for epoch in printer.epochs],
        held_out={str(e.epoch): e.valid_perplexity for e in printer.epochs if e.valid_perplexity is not None},
        baselines=baselines(splits, len(vocab)),
        stopped=stopped,
        versions=versions(),
    )
    seconds = median(printer.seconds) if printer.seconds else 0.0
    speed = printer.speed() if printer.seconds else 0.0
    timing = Timing(seconds, speed, time.perf_counter() - started, describe_device(device))
    return result, printer.samples, timing


def encode(params: Params) -> tuple[Vocab, dict[str, Ids]]:
    """The recipe's vocabulary and its splits as ids."""
    text = "".join(Corpus(params.corpus).read())
    parts = {
        name: text[bounds.start : bounds.stop]
        for name, bounds in split_bounds(len(text), params.corpus.split).items()
    }
    vocab = build_vocab(count_chars([parts["train"]]), unk=params.vocab.unk, min_count=params.vocab.min_count)
    check_prefixes(params, vocab)
    return vocab, {name: vocab.encode(part).astype(np.int64) for name, part in parts.items()}


def baselines(splits: dict[str, Ids], vocab_size: int) -> dict[str, float]:
    """Held-out perplexity of the predictors that only count, where there is something held out."""
    if len(splits["valid"]) < 2:
        return {}
    scores = Baselines(splits["train"], vocab_size).scores(splits["valid"])
    return {name: score.perplexity for name, score in scores.items()}


def _only_model(params: Params, recipe: str) -> tuple[str, ModelParams]:
    if len(params.models) != 1:
        raise RefrainError(f"{recipe}.yaml has {len(params.models)} models: a recipe here has one")
    return next(iter(params.models.items()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m replications.run", description=__doc__)
    parser.add_argument("name", help="of the files that it writes")
    parser.add_argument("recipe", help="a file of replications/recipes, without .yaml")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="keys of the recipe to change")
    run(main, parser)
