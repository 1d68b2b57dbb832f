"""Stage run: train one recipe and print what the textbook's pages print.

With --save, its figures and samples are also written under replications/. Without, it leaves nothing:

    python -m replications.run rnn-torch models.rnn.nonlinearity=relu train.clip=null
"""

import argparse
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.code_digest import imported_modules, package_versions
from pipeline.device import choose_device, describe_device, set_up
from pipeline.errors import RefrainError
from pipeline.evaluation.baselines import Baselines
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.params.corpus import SPLITS
from pipeline.params.load import Params
from pipeline.params.recipes import load_recipe
from pipeline.params.yaml import parse_yaml
from pipeline.program import run_program
from pipeline.text.corpus import Corpus
from pipeline.text.splits import cut_by_position
from pipeline.text.vocab import Vocab, check_prefixes, count_chars, vocab_from_counts
from pipeline.training.hooks import sampler, validator
from pipeline.training.loop import Hooks, Trainer, TrainingStopped
from pipeline.training.state import Epoch, Evaluation
from replications.results import Result, Sample, write_run


@dataclass(frozen=True)
class Training:
    """What training a recipe gave, and how fast it was.

    ``seconds`` is the time of the whole training, with evaluations and samples. ``epoch_seconds`` and
    ``characters_per_second`` are of the median epoch.
    """

    result: Result
    samples: list[Sample]
    seconds: float
    epoch_seconds: float
    characters_per_second: float


class Printer:
    """Prints the training as the textbook's pages do, and keeps what its result needs."""

    def __init__(self, prefixes: list[str], device: str) -> None:
        self._prefixes, self._device = prefixes, device
        self._characters, self._elapsed, self._started = 0, 0.0, time.perf_counter()
        self._seconds: list[float] = []
        self.epochs: list[Epoch] = []
        self.held_out: dict[str, float] = {}
        self.samples: list[Sample] = []

    def add_sample(self, epoch: int, texts: tuple[str, ...]) -> None:
        """Print a sample for each prefix."""
        self.samples.append(Sample(epoch, list(texts)))
        for prefix, text in zip(self._prefixes, texts, strict=True):
            print(f" - {prefix}{text}", flush=True)
        self._started = time.perf_counter()

    def add_step(self, characters: int, _loss: float | None) -> None:
        """Count the characters of a step."""
        self._characters += characters

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Keep validation perplexity, and print samples. Their time is not the epoch's."""
        self._elapsed += time.perf_counter() - self._started
        if evaluation.valid_perplexity is not None:
            self.held_out[str(evaluation.epoch)] = evaluation.valid_perplexity
        if evaluation.samples:
            print(
                f"epoch {evaluation.epoch}, perplexity {evaluation.train_perplexity:.4f}, "
                f"time {self.typical_seconds():.2f} sec, "
                f"{self.typical_speed():,.0f} characters/s on {self._device}"
            )
            self.add_sample(evaluation.epoch, evaluation.samples)
        self._started = time.perf_counter()

    def add_epoch(self, epoch: Epoch) -> None:
        """Time an epoch."""
        self._seconds.append(self._elapsed + time.perf_counter() - self._started)
        self._elapsed = 0.0
        self.epochs.append(epoch)
        self._started = time.perf_counter()

    def typical_seconds(self) -> float:
        """Seconds of the median epoch; before the first, of what has passed."""
        return median(self._seconds or [self._elapsed])

    def typical_speed(self) -> float:
        """Characters per second in the median epoch."""
        return self._characters / max(len(self._seconds), 1) / max(self.typical_seconds(), 1e-9)


def main(recipe: str, changes: list[str], save: str | None) -> None:
    """Train a recipe with some keys changed; write its files if it has a name to ``save`` them under.

    Saved runs are the CPU's: other devices round differently.
    """
    training = train_recipe(recipe, [*changes, "runtime.device=cpu"] if save else changes)
    if save:
        write_run(save, training.result, training.samples)


def train_recipe(recipe: str, changes: Sequence[str] = ()) -> Training:
    """Train the one model of a recipe.

    A training whose loss stops being finite is a result, too. Raises :class:`RefrainError` if the recipe or
    a change is wrong.
    """
    params = load_recipe(recipe, parse_changes(changes))
    train = params.train_params(only_model(recipe, params))
    vocab, splits = encode(params)
    model, device = new_model(recipe, params, len(vocab))
    printer = Printer(train.sample.prefixes, describe_device(device))
    sample = sampler(model, vocab, train.sample)
    if train.sample.every:
        print(f"{recipe}, untrained (vocabulary of {len(vocab):,})")
        printer.add_sample(0, sample())
    hooks = Hooks(
        validate=validator(model, splits["valid"]),
        sample=sample,
        save=lambda _: None,
        step_done=printer.add_step,
        evaluated=printer.add_evaluation,
        epoch_done=printer.add_epoch,
    )
    trainer = Trainer(model, splits["train"], train, params.runtime, params.seed, hooks)
    started = time.perf_counter()
    stopped = reason_to_stop(trainer)
    seconds = time.perf_counter() - started
    result = Result(
        recipe=recipe,
        changes=[change for change in changes if not change.startswith("runtime.")],
        seed=params.seed,
        characters=len(splits["train"]),
        vocab_size=len(vocab),
        prefixes=train.sample.prefixes,
        perplexity=[e.train_perplexity for e in printer.epochs],
        held_out=printer.held_out,
        baselines=baselines(splits, len(vocab)),
        stopped=stopped,
        versions=package_versions(imported_modules("replications.run")),
    )
    return Training(result, printer.samples, seconds, printer.typical_seconds(), printer.typical_speed())


def parse_changes(changes: Iterable[str]) -> dict[str, Any]:
    """The values of ``KEY=VALUE`` by key, read as YAML; :class:`RefrainError` for anything else."""
    values = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not (key and equals):
            raise RefrainError(f"{change!r} changes no key: write KEY=VALUE, as in train.epochs=10")
        try:
            values[key] = parse_yaml(value, change)
        except RefrainError:
            raise RefrainError(f"{change!r}: the value is not valid YAML") from None
    return values


def encode(params: Params) -> tuple[Vocab, dict[str, NDArray[np.int64]]]:
    """The vocabulary of a recipe, and its splits as ids."""
    text = "".join(Corpus(params.corpus).read())
    bounds = pairwise((0, *cut_by_position(len(text), params.corpus.split).stops))
    splits = {name: text[start:stop] for name, (start, stop) in zip(SPLITS, bounds, strict=True)}
    vocab = vocab_from_counts(
        count_chars([splits["train"]]), unk=params.vocab.unk, min_count=params.vocab.min_count
    )
    check_prefixes(params, vocab)
    return vocab, {name: vocab.encode(split).astype(np.int64) for name, split in splits.items()}


def new_model(recipe: str, params: Params, vocab_size: int) -> tuple[CharLM, torch.device]:
    """The model of a recipe before its first step, and the device that it is on."""
    name = only_model(recipe, params)
    settings, train = params.models[name], params.train_params(name)
    device = choose_device(params.runtime.device)
    set_up(device, params.runtime.threads, train.precision, settings.hidden_size)
    torch.manual_seed(params.seed)
    config = ModelConfig(vocab_size, **settings.architecture)
    return CharLM(config, train.implementation, settings.init_std).to(device), device


def only_model(recipe: str, params: Params) -> str:
    """The name of a recipe's model; :class:`RefrainError` if there are several."""
    if len(params.models) != 1:
        raise RefrainError(
            f"recipe {recipe} has {len(params.models)} models ({', '.join(params.models)}): choose one "
            "with a single model"
        )
    return next(iter(params.models))


def reason_to_stop(trainer: Trainer) -> str | None:
    """Train to the end; the reason if the training stops before."""
    try:
        trainer.run()
    except RefrainError as error:
        if not trainer.steps_done:  # the text or the parameters are wrong
            raise
        print(error)
        return str(error)
    except TrainingStopped:
        raise KeyboardInterrupt from None
    return None


def baselines(splits: dict[str, NDArray[np.int64]], vocab_size: int) -> dict[str, float]:
    """Held-out perplexity of the predictors that only count, if anything is held out."""
    if len(splits["valid"]) < 2:
        return {}
    scores = Baselines(splits["train"], splits["valid"], vocab_size).scores(splits["valid"])
    return {name: score.perplexity for name, score in scores.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m replications.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--save", metavar="NAME", help="write the run's files under this name")
    parser.add_argument("recipe", help="a file of replications/recipes, without .yaml")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="keys of the recipe to change")
    run_program(main, parser)
