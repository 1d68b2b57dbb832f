"""Stage train: train one model and write its weights and learning curves."""

import argparse
import logging
import sys

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.params import load_params
from pipeline.program import run

log = logging.getLogger(__name__)


def main(model: str) -> None:
    """Train model ``model`` of ``params.yaml``, or go on from its checkpoint."""
    params = load_params()
    if model not in params.models:
        raise RefrainError(f"params.yaml has no model {model!r}; it has {', '.join(params.models)}")
    train = params.train_params(model)

    import torch  # a second, which --help and wrong parameters should not take

    from pipeline.device import choose_device, describe_device, set_up
    from pipeline.nn.language_model import CharLM, ModelConfig, save_model
    from pipeline.text.encoding import read_split
    from pipeline.text.vocab import check_prefixes, read_vocab
    from pipeline.training.checkpoint import fingerprint, read_checkpoint, write_checkpoint
    from pipeline.training.curves import Curves
    from pipeline.training.hooks import sampler, validator
    from pipeline.training.progress import Progress
    from pipeline.training.trainer import Epoch, Hooks, Stopped, Trainer

    settings = params.models[model]
    device = choose_device(params.device)
    set_up(device, params.threads, train.precision, settings.hidden_size)
    stored = read_vocab(artifacts.VOCAB)
    check_prefixes(params, stored.vocab)
    ids = {
        name: torch.from_numpy(read_split(artifacts.ENCODED, name, stored)).to(device)
        for name in ("train", "valid")
    }
    if len(ids["valid"]) < 2 and (train.keep == "best" or train.patience):
        raise RefrainError(
            f"the validation split has {len(ids['valid'])} character(s), too few for keep: best "
            "and patience: give corpus.split.valid more"
        )
    identity = fingerprint(
        model=settings.model_dump(exclude={"train"}),
        train=train.model_dump(),
        seed=params.seed,
        vocab=stored.sha256,
        corpus=stored.corpus_sha256,
        characters=[len(split) for split in ids.values()],
        device=device.type,
    )
    path = artifacts.checkpoint_path(model)
    artifacts.drop_closed_checkpoint(model)  # a run that is forced is to train anew
    checkpoint = read_checkpoint(path, identity)

    torch.manual_seed(params.seed)
    config = ModelConfig(vocab_size=len(stored.vocab), **settings.architecture)
    lm = CharLM(config, train.implementation, settings.init_std).to(device)
    progress = Progress(model, train.epochs, train.sample.prefixes)
    with Curves(artifacts.TRAIN_REPORTS / model, train.sample.prefixes) as curves:

        def epoch_done(epoch: Epoch) -> None:
            curves.add(epoch)
            progress.epoch(epoch)

        hooks = Hooks(
            validate=validator(lm, ids["valid"]),
            sample=sampler(lm, stored.vocab, train.sample),
            save=lambda state: write_checkpoint(path, state, identity),
            step_done=progress.step,
            epoch_done=epoch_done,
        )
        trainer = Trainer(lm, ids["train"], train, params.seed, params.checkpoint_seconds, hooks)
        if checkpoint:
            trainer.restore(checkpoint)
            log.info("%s: going on from its checkpoint, in epoch %d", model, trainer.epoch)
        progress.start(trainer.steps_per_epoch, trainer.steps_done)
        try:
            weights = trainer.run()
        except Stopped as stopped:
            progress.close()
            log.info(
                "%s: stopped by %s in epoch %d; `dvc repro` goes on from there", model, stopped, trainer.epoch
            )
            sys.exit(128 + stopped.number)
    progress.close(artifacts.TIMINGS / f"{model}.json", describe_device(device))
    save_model(artifacts.model_path(model), lm, weights, stored.sha256)
    artifacts.close_checkpoint(model)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.stages.train", description=__doc__)
    parser.add_argument("model", help="a name under `models` in params.yaml")
    run(main, parser)
