"""Train models again with other seeds, and write how far apart they end to reports/spread.json.

Each training is a DVC experiment in a folder of its own, so the workspace stays as it is. `refrain diff` and
the nightly gate then know how much of a difference another seed would make, too.
"""

import argparse
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.workspace.dvc_repo import open_repo
from flows.workspace.experiment import options_for_text
from flows.workspace.programs import Programs
from pipeline import artifacts
from pipeline.commands.check import main as check
from pipeline.errors import RefrainError
from pipeline.evaluation.runs import figures_of
from pipeline.evaluation.spread import (
    LEAST_SEEDS,
    Spread,
    digest_at,
    parameters_digest,
    read_spreads,
    spread_of,
    write_spreads,
)
from pipeline.params.load import Params, load_params
from pipeline.revisions import WORKSPACE, Revision


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``refrain spread``."""
    parser.add_argument("models", nargs="*", metavar="model", help="names under `models` (default: all)")
    help_of_seeds = "how many, besides the one in params.yaml (default: 5)"
    parser.add_argument("--seeds", type=int, default=5, help=help_of_seeds)


def main(models: list[str], seeds: int) -> None:
    """Train with each seed, then write and print the spread."""
    folder, params = Path.cwd(), load_params()
    if seeds + 1 < LEAST_SEEDS:
        raise RefrainError(f"--seeds {seeds}: it should be {LEAST_SEEDS - 1} or more")
    names = list(dict.fromkeys(models)) or list(params.models)
    if unknown := [name for name in names if name not in params.models]:
        raise RefrainError(f"params.yaml has no model {unknown[0]!r}: choose from {', '.join(params.models)}")
    read_spreads(Revision(WORKSPACE))  # if it is damaged, nothing is trained for it
    check()
    perplexities = train_with_seeds(folder, params, names, range(params.seed, params.seed + seeds + 1))
    spreads = {
        name: spread_of(
            parameters_digest(params, name), {seed: found[name] for seed, found in perplexities.items()}
        )
        for name in names
    }
    write_spreads({**read_spreads(Revision(WORKSPACE)), **spreads})
    for name, spread in spreads.items():
        print(line_of(name, spread))
    print(f"{artifacts.SPREAD}: commit it, so that comparisons and the gate use it")


def train_with_seeds(
    folder: Path, params: Params, models: list[str], seeds: Sequence[int]
) -> dict[int, dict[str, dict[str, float]]]:
    """The held-out perplexities of all models by seed, model and split.

    Raises :class:`RefrainError` if the parameters of ``models``, or the code, changed meanwhile.
    """
    options = options_for_text(folder, params.corpus.path)
    targets = [stage_that_writes(folder, artifacts.evaluation_path(name)) for name in models]
    programs = Programs(folder)
    wanted = {name: parameters_digest(params, name) for name in models}
    code: dict[str, Any] = {}
    found = {}
    try:
        for number, seed in enumerate(seeds, 1):
            print(f"seed {seed} ({number} of {len(seeds)})", file=sys.stderr)
            experiment = f"seed-{seed}-{secrets.token_hex(3)}"
            command = ["exp", "run", "--temp", "--name", experiment, f"--set-param=seed={seed}", *options]
            programs.dvc(*command, *targets, on_line=lambda line: print(line, file=sys.stderr))
            trained = Revision(experiment)
            code = code or trained.read_json(artifacts.CODE)
            digests = {name: digest_at(trained, name) for name in models}
            if trained.read_json(artifacts.CODE) != code or digests != wanted:
                raise RefrainError(f"params.yaml or code changed before seed {seed} began: run it again")
            found[seed] = perplexities_of(trained)
    finally:
        programs.stop()
    return found


def stage_that_writes(folder: Path, path: Path) -> str:
    """The name of a stage, by its output."""
    with open_repo(folder) as repo:
        (output,) = repo.find_outs_by_path(str(folder / path))
        return str(output.stage.addressing)


def perplexities_of(experiment: Revision) -> dict[str, dict[str, float]]:
    """The held-out perplexities of an experiment by model and split."""
    return {
        model: {split: figures["perplexity"] for split, figures in by_split.items()}
        for model, by_split in figures_of(experiment).items()
    }


def line_of(model: str, spread: Spread) -> str:
    """The spread of a model for people."""
    parts = [
        f"{split} {min(values):.4g} to {max(values):.4g}, "
        f"standard deviation {spread.relative_standard_deviation[split]:.1%}"
        for split, values in spread.perplexity.items()
    ]
    return f"{model}: {'; '.join(parts)}"
