"""Training one model, from encoded text to weights. Each process of the stage train runs this."""

import logging
import sys
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pipeline import artifacts
from pipeline.arithmetic.rounding import format_perplexity
from pipeline.data.encoded import EncodedText
from pipeline.device import describe_device
from pipeline.errors import RefrainError
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.nn.weights import save_model
from pipeline.params.load import Params
from pipeline.text.vocab import VocabFile, check_prefixes, read_vocab
from pipeline.training.checkpoint import fingerprint, read_checkpoint, write_checkpoint
from pipeline.training.curves import Curves
from pipeline.training.hooks import sampler, validator
from pipeline.training.loop import Hooks, Trainer, TrainingStopped
from pipeline.training.progress import Progress
from pipeline.training.ranks import Ranks
from pipeline.training.state import Epoch, Evaluation

log = logging.getLogger(__name__)

Splits = dict[str, EncodedText]


def train_model(name: str, params: Params, device: torch.device, ranks: Ranks) -> None:
    """Train model ``name``, or resume it from its checkpoint. Only rank 0 writes and logs.

    If a signal stops training, a checkpoint is saved and the process exits with the signal's status.
    """
    train, is_first = params.train_params(name), ranks.rank == 0
    stored, splits = read_text(name, params, ranks)
    identity = identify(name, params, stored, splits, device)
    checkpoint = ranks.on_first_rank(partial(last_checkpoint, name, identity))

    model = new_model(name, params, len(stored.vocab), device, ranks)
    progress = Progress(name, train.epochs, train.sample.prefixes)
    validate, sample = validator(model, splits["valid"]), sampler(model, stored.vocab, train.sample)
    folder = artifacts.train_report(name)
    with Curves(folder, train.sample.prefixes) if is_first else nullcontext() as curves:

        def save(state: dict[str, Any]) -> None:
            if is_first:
                write_checkpoint(artifacts.checkpoint_path(name), state, identity)

        def evaluated(evaluation: Evaluation) -> None:
            if curves:
                curves.add_evaluation(evaluation)
                progress.evaluation(evaluation)

        def epoch_done(epoch: Epoch) -> None:
            if curves:
                curves.add_epoch(epoch)

        hooks = Hooks(
            validate=partial(ranks.on_first_rank, validate) if validate else None,
            sample=partial(ranks.on_first_rank, sample),
            save=save,
            step_done=progress.step,
            evaluated=evaluated,
            epoch_done=epoch_done,
        )
        trainer = Trainer(model, splits["train"], train, params.runtime, params.seed, hooks, ranks)
        if checkpoint:
            trainer.load_state_dict(checkpoint)
        weights = train_to_the_end(trainer, name, progress)
    if is_first:
        log_outcome(name, trainer)
        progress.close(artifacts.TIMINGS / f"{name}.json", describe_device(device))
        save_model(artifacts.model_path(name), model, weights, stored.sha256, train.precision)
        artifacts.record_trained_model(name)


def log_outcome(name: str, trainer: Trainer) -> None:
    """Say which weights are kept and why training has stopped early, if validation has decided that."""
    params = trainer.params
    validated = [
        (evaluation.valid_perplexity, evaluation.step)
        for evaluation in trainer.history.evaluations
        if evaluation.valid_perplexity is not None
    ]
    if not validated or not (params.keep == "best" or params.patience):
        return
    (best, best_step), last_step = min(validated), validated[-1][1]
    if last_step < trainer.all_steps:
        log.info("%s: stopped after step %d of %d: out of patience", name, last_step, trainer.all_steps)
    if params.keep == "best":
        log.info("%s: kept step %d, validation %s", name, best_step, format_perplexity(best))
    if len(validated) == 1:
        log.warning(
            "%s: validated once, after step %d, so keep: best and patience had no choice: lower "
            "train.evaluate_every (%d steps)",
            *(name, last_step, params.evaluate_every),
        )


def read_text(name: str, params: Params, ranks: Ranks) -> tuple[VocabFile, Splits]:
    """The vocabulary, and the splits that training reads.

    Raises :class:`RefrainError` if a prefix has unknown characters, if the validation split is too short, or
    if there are more ranks than lanes.
    """
    stored, train = read_vocab(artifacts.VOCAB), params.train_params(name)
    check_prefixes(params, stored.vocab)
    splits = {split: EncodedText(artifacts.ENCODED, split, stored) for split in ("train", "valid")}
    if len(splits["valid"]) < 2 and (train.keep == "best" or train.patience):
        raise RefrainError(
            f"the validation split has {len(splits['valid'])} character(s), too few for keep: best "
            "and patience: raise corpus.split.valid"
        )
    if ranks.size > train.batch_size:
        raise RefrainError(
            f"{ranks.size} processes cannot share the {train.batch_size} lane(s) of a minibatch: start fewer"
        )
    return stored, splits


def identify(name: str, params: Params, stored: VocabFile, splits: Splits, device: torch.device) -> str:
    """A fingerprint of everything that determines a training's result."""
    return fingerprint(
        model=params.models[name].model_dump(exclude={"train"}),
        train=params.train_params(name).model_dump(),
        seed=params.seed,
        vocab=stored.sha256,
        corpus=stored.corpus_sha256,
        characters=[len(split) for split in splits.values()],
        device=device.type,
    )


def last_checkpoint(name: str, identity: str) -> dict[str, Any] | None:
    """The checkpoint of model ``name``, or None.

    A checkpoint whose model DVC has recorded is deleted, so that a forced training starts from scratch.
    """
    artifacts.drop_recorded_checkpoint(name)
    return read_checkpoint(artifacts.checkpoint_path(name), identity)


def new_model(name: str, params: Params, vocab_size: int, device: torch.device, ranks: Ranks) -> CharLM:
    """The untrained model. All ranks have the same weights, but different random states for dropout."""
    torch.manual_seed(params.seed)
    settings = params.models[name]
    config = ModelConfig(vocab_size=vocab_size, **settings.architecture)
    model = CharLM(config, params.train_params(name).implementation, settings.init_std).to(device)
    if ranks.rank:
        torch.manual_seed(params.seed + ranks.rank)
    return model


def train_to_the_end(trainer: Trainer, name: str, progress: Progress) -> dict[str, Tensor]:
    """Train to the end. Log if training resumes from a checkpoint, or if it is stopped."""
    is_first = trainer.ranks.rank == 0
    if is_first and trainer.steps_done:
        where = "after its last step" if trainer.is_finished() else f"in epoch {trainer.totals.epoch}"
        log.info("%s: going on from its checkpoint, %s", name, where)
    if is_first:
        progress.start(trainer.all_steps, trainer.steps_done)
    try:
        return trainer.run()
    except TrainingStopped as stopped:
        progress.close()
        if is_first:
            message = "%s: stopped by %s in epoch %d; `dvc repro` resumes it from there"
            log.info(message, name, stopped, trainer.totals.epoch)
        sys.exit(128 + stopped.number)
