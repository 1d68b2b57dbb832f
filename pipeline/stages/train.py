"""Stage train: train one model and write its weights and learning curves."""

import argparse

from pipeline.errors import RefrainError
from pipeline.params import load_params
from pipeline.program import run


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
    from pipeline.training.run import train_model

    device = local(choose_device(params.device))
    threads = None if launched() else params.threads  # who launches processes divides the threads among them
    set_up(device, threads, train.precision, params.models[model].hidden_size)
    with join(device) as ranks:
        train_model(model, params, device, ranks)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.stages.train", description=__doc__)
    parser.add_argument("model", help="a name under `models` in params.yaml")
    run(main, parser)
