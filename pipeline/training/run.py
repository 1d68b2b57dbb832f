"""One model's training, from encoded text to weights: what stage train does on each of its processes."""

import logging
import sys
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor

from pipeline import artifacts
from pipeline.device import describe_device
from pipeline.errors import RefrainError
from pipeline.nn.language_model import CharLM, ModelConfig, save_model
from pipeline.params import Params
from pipeline.text.encoded import EncodedText
from pipeline.text.vocab import VocabFile, check_prefixes, read_vocab
from pipeline.training.checkpoint import Checkpoint, fingerprint, read_checkpoint, write_checkpoint
from pipeline.training.curves import Curves
from pipeline.training.hooks import sampler, validator
from pipeline.training.progress import Progress
from pipeline.training.ranks import Ranks
from pipeline.training.trainer import Epoch, Hooks, Stopped, Trainer

log = logging.getLogger(__name__)

Splits = dict[str, EncodedText]


def train_model(model: str, params: Params, device: torch.device, ranks: Ranks) -> None:
    """Train model ``model``, or go on from its checkpoint. Rank 0 alone writes and speaks.

    Leaves the program with the status of a signal that stops it, after a checkpoint.
    """
    train, first = params.train_params(model), ranks.rank == 0
    stored, splits = read_text(model, params, ranks)
    identity = identify(model, params, stored, splits, device, ranks)
    checkpoint = ranks.from_first(partial(last_checkpoint, model, identity))

    lm = new_model(model, params, len(stored.vocab), device, ranks)
    progress = Progress(model, train.epochs, train.sample.prefixes)
    validate, sample = validator(lm, splits["valid"]), sampler(lm, stored.vocab, train.sample)
    with Curves(artifacts.TRAIN_REPORTS / model, train.sample.prefixes) if first else nullcontext() as curves:

        def save(state: Checkpoint) -> None:
            if first:
                write_checkpoint(artifacts.checkpoint_path(model), state, identity)

        def epoch_done(epoch: Epoch) -> None:
            if curves:
                curves.add(epoch)
                progress.epoch(epoch)

        hooks = Hooks(
            validate=partial(ranks.from_first, validate) if validate else None,
            sample=partial(ranks.from_first, sample),
            save=save,
            step_done=progress.step,
            epoch_done=epoch_done,
        )
        trainer = Trainer(lm, splits["train"], train, params.seed, params.checkpoint_seconds, hooks, ranks)
        if checkpoint:
            trainer.restore(checkpoint)
        weights = train_to_the_end(trainer, model, progress)
    if first:
        progress.close(artifacts.TIMINGS / f"{model}.json", describe_device(device))
        save_model(artifacts.model_path(model), lm, weights, stored.sha256)
        artifacts.close_checkpoint(model)


def read_text(model: str, params: Params, ranks: Ranks) -> tuple[VocabFile, Splits]:
    """The vocabulary, and the splits that a training reads.

    Raises :class:`RefrainError` where parameters ask for more than there is.
    """
    stored, train = read_vocab(artifacts.VOCAB), params.train_params(model)
    check_prefixes(params, stored.vocab)
    splits = {name: EncodedText(artifacts.ENCODED, name, stored) for name in ("train", "valid")}
    if len(splits["valid"]) < 2 and (train.keep == "best" or train.patience):
        raise RefrainError(
            f"the validation split has {len(splits['valid'])} character(s), too few for keep: best "
            "and patience: give corpus.split.valid more"
        )
    if ranks.size > train.batch_size:
        raise RefrainError(
            f"{ranks.size} processes cannot share the {train.batch_size} lane(s) of train.batch_size"
        )
    return stored, splits


def identify(
    model: str, params: Params, stored: VocabFile, splits: Splits, device: torch.device, ranks: Ranks
) -> str:
    """A fingerprint of all that a training's result depends on."""
    return fingerprint(
        model=params.models[model].model_dump(exclude={"train"}),
        train=params.train_params(model).model_dump(),
        seed=params.seed,
        vocab=stored.sha256,
        corpus=stored.corpus_sha256,
        characters=[len(split) for split in splits.values()],
        device=device.type,
        ranks=ranks.size,
    )


def last_checkpoint(model: str, identity: str) -> Checkpoint | None:
    """The checkpoint of a training that did not come to its end; one that is forced is to train anew."""
    artifacts.drop_closed_checkpoint(model)
    return read_checkpoint(artifacts.checkpoint_path(model), identity)


def new_model(model: str, params: Params, vocab_size: int, device: torch.device, ranks: Ranks) -> CharLM:
    """The model before its first step: the same on all ranks, which then differ in what dropout drops."""
    torch.manual_seed(params.seed)
    settings = params.models[model]
    config = ModelConfig(vocab_size=vocab_size, **settings.architecture)
    lm = CharLM(config, params.train_params(model).implementation, settings.init_std).to(device)
    if ranks.rank:
        torch.manual_seed(params.seed + ranks.rank)
    return lm


def train_to_the_end(trainer: Trainer, model: str, progress: Progress) -> dict[str, Tensor]:
    """Train to the end, and say so where it begins in the middle or is stopped."""
    first = trainer.ranks.rank == 0
    if first and trainer.steps_done:
        log.info("%s: going on from its checkpoint, in epoch %d", model, trainer.epoch)
    if first:
        progress.start(trainer.steps_per_epoch, trainer.steps_done)
    try:
        return trainer.run()
    except Stopped as stopped:
        progress.close()
        if first:
            again = "%s: stopped by %s in epoch %d; `dvc repro` goes on from there"
            log.info(again, model, stopped, trainer.epoch)
        sys.exit(128 + stopped.number)
