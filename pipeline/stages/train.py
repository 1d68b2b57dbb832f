"""Stage train: train one model and write its weights and learning curves."""

import argparse
import logging
import sys
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.params import Params, load_params
from pipeline.program import run

if TYPE_CHECKING:
    import torch

    from pipeline.training.ranks import Ranks

log = logging.getLogger(__name__)


def main(model: str) -> None:
    """Train model ``model`` of ``params.yaml``, or go on from its checkpoint."""
    params = load_params()
    if model not in params.models:
        raise RefrainError(f"params.yaml has no model {model!r}; it has {', '.join(params.models)}")
    train = params.train_params(model)

    # Only here: PyTorch takes a second to load, which --help and wrong parameters should not.
    from pipeline.device import choose_device, set_up
    from pipeline.training.ranks import join, launched, local

    if train.processes > 1 and not launched():
        from pipeline.training.launch import launch

        launch(train.processes, params.threads, "-m", "pipeline.stages.train", model)
        return
    device = local(choose_device(params.device))
    threads = None if launched() else params.threads  # who launches processes divides the threads among them
    set_up(device, threads, train.precision, params.models[model].hidden_size)
    with join(device) as ranks:
        train_model(model, params, device, ranks)


def train_model(model: str, params: Params, device: "torch.device", ranks: "Ranks") -> None:
    """Train on as many processes as there are ranks; the first alone writes."""
    import torch

    from pipeline.device import describe_device
    from pipeline.nn.language_model import CharLM, ModelConfig, save_model
    from pipeline.text.encoded import EncodedText
    from pipeline.text.vocab import check_prefixes, read_vocab
    from pipeline.training.checkpoint import fingerprint, read_checkpoint, write_checkpoint
    from pipeline.training.curves import Curves
    from pipeline.training.hooks import sampler, validator
    from pipeline.training.progress import Progress
    from pipeline.training.trainer import Epoch, Hooks, Stopped, Trainer

    settings, train = params.models[model], params.train_params(model)
    stored = read_vocab(artifacts.VOCAB)
    check_prefixes(params, stored.vocab)
    text = {name: EncodedText(artifacts.ENCODED, name, stored) for name in ("train", "valid")}
    if len(text["valid"]) < 2 and (train.keep == "best" or train.patience):
        raise RefrainError(
            f"the validation split has {len(text['valid'])} character(s), too few for keep: best "
            "and patience: give corpus.split.valid more"
        )
    if ranks.size > train.batch_size:
        raise RefrainError(
            f"{ranks.size} processes cannot share the {train.batch_size} lane(s) of train.batch_size"
        )
    identity = fingerprint(
        model=settings.model_dump(exclude={"train"}),
        train=train.model_dump(),
        seed=params.seed,
        vocab=stored.sha256,
        corpus=stored.corpus_sha256,
        characters=[len(split) for split in text.values()],
        device=device.type,
        ranks=ranks.size,
    )
    path, first = artifacts.checkpoint_path(model), ranks.rank == 0
    if first:
        artifacts.drop_closed_checkpoint(model)  # a run that is forced is to train anew
    checkpoint = ranks.from_first(lambda: read_checkpoint(path, identity))

    torch.manual_seed(params.seed)
    config = ModelConfig(vocab_size=len(stored.vocab), **settings.architecture)
    lm = CharLM(config, train.implementation, settings.init_std).to(device)
    if not first:
        torch.manual_seed(params.seed + ranks.rank)  # dropout differs from rank to rank
    progress = Progress(model, train.epochs, train.sample.prefixes)
    validate, sample = validator(lm, text["valid"]), sampler(lm, stored.vocab, train.sample)
    with Curves(artifacts.TRAIN_REPORTS / model, train.sample.prefixes) if first else nullcontext() as curves:

        def epoch_done(epoch: Epoch) -> None:
            if curves:
                curves.add(epoch)
                progress.epoch(epoch)

        hooks = Hooks(
            validate=partial(ranks.from_first, validate) if validate else None,
            sample=partial(ranks.from_first, sample),
            save=lambda state: write_checkpoint(path, state, identity) if first else None,
            step_done=progress.step,
            epoch_done=epoch_done,
        )
        trainer = Trainer(lm, text["train"], train, params.seed, params.checkpoint_seconds, hooks, ranks)
        if checkpoint:
            trainer.restore(checkpoint)
            if first:
                log.info("%s: going on from its checkpoint, in epoch %d", model, trainer.epoch)
        if first:
            progress.start(trainer.steps_per_epoch, trainer.steps_done)
        try:
            weights = trainer.run()
        except Stopped as stopped:
            progress.close()
            if first:
                again = "%s: stopped by %s in epoch %d; `dvc repro` goes on from there"
                log.info(again, model, stopped, trainer.epoch)
            sys.exit(128 + stopped.number)
    if first:
        progress.close(artifacts.TIMINGS / f"{model}.json", describe_device(device))
        save_model(artifacts.model_path(model), lm, weights, stored.sha256)
        artifacts.close_checkpoint(model)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.stages.train", description=__doc__)
    parser.add_argument("model", help="a name under `models` in params.yaml")
    run(main, parser)
