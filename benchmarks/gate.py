"""How often the gate is wrong: ``make bench-gate``, hours on one core.

For the default pipeline and for a short recipe on Tiny Shakespeare, models are compared with accepted ones as
`retrain` does at night. Some were trained again with another seed, which the gate should accept. Others are
the accepted ones with noise added to their weights, so that their validation perplexity is 3% or 10% worse,
which the gate should refuse. Beside it stands a gate that looks at the estimate alone. Writes ``gate.json``
and ``gate.md``.
"""

import argparse
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter

from benchmarks import machine
from benchmarks.setups import FOLDER
from flows.gate import outcome, read_gate
from flows.workspace.git import run_git
from flows.workspace.programs import Programs
from pipeline import artifacts, device
from pipeline.artifacts import write_json, write_text
from pipeline.data.encoded import EncodedText
from pipeline.errors import RefrainError
from pipeline.evaluation.difference import Difference
from pipeline.evaluation.differences import compare_model, differences
from pipeline.evaluation.losses import write_losses
from pipeline.evaluation.perplexity import losses_of, score
from pipeline.evaluation.spread import read_spreads
from pipeline.nn.language_model import CharLM
from pipeline.nn.weights import open_model
from pipeline.params.corpus import HELD_OUT
from pipeline.params.load import load_params
from pipeline.program import run_program
from pipeline.revisions import WORKSPACE, Revision
from pipeline.text.catalog import fetch_text

ROOT, HERE = FOLDER.parent, Path()

RECIPES = ("default", "tiny_shakespeare_gate")

RETRAININGS = 20
WORSE = (0.03, 0.10)
MODELS_PER_WORSE = 20

OTHER_SEEDS = 9
"""The spread is measured with as many seeds besides the recipe's own."""

TRIES = 7
"""Of a noise's strength. The loss grows with about its square, so each try is much closer than the last."""

FIRST_STRENGTH, MOST_MORE = 0.05, 4
"""The first try, relative to the weights' standard deviation, and by how much the next may be more."""

FIRST_SEED = 101
"""Of the retrainings: not among those that the spread was measured with."""


@dataclass(frozen=True)
class Decisions:
    """What both gates decided about models of one kind: ``refused`` of ``models``."""

    kind: str
    models: int
    refused: int
    refused_by_estimate: int


@dataclass(frozen=True)
class Measured:
    """One recipe: the spread between seeds by model and split, and the decisions.

    ``changes`` has the change and the ends of its interval, by kind, model and split.
    """

    processor: str
    relative_standard_deviation: dict[str, dict[str, float]]
    decisions: list[Decisions]
    changes: dict[str, list[dict[str, list[float | None]]]]


MEASURED = TypeAdapter(dict[str, Measured])
"""By recipe."""


def main(recipes: list[str]) -> None:
    """Measure, print and write. Recipes that are not named keep what was measured before."""
    if unknown := set(recipes) - set(RECIPES):
        raise RefrainError(f"{', '.join(unknown)}: choose from {', '.join(RECIPES)}")
    if run_git(ROOT, "status", "--porcelain", "--", "pipeline", "flows", "params.yaml"):
        raise RefrainError("commit your changes first: the gate is tried in a clone of the last commit")
    text, results = fetch_text("tiny_shakespeare"), FOLDER / "gate.json"
    for recipe in recipes or RECIPES:
        with project_with(recipe, text):
            of_recipe = measure()
        measured = MEASURED.validate_json(results.read_bytes()) if results.exists() else {}
        measured[recipe] = of_recipe
        write_json(results, MEASURED.dump_python(measured))
        write_text(FOLDER / "gate.md", page(measured))
        print(page(measured), flush=True)


@contextmanager
def project_with(recipe: str, text: Path) -> Iterator[None]:
    """Work in a clone of this repository. Its last commit has a recipe's accepted models and their spread."""
    os.environ.pop("DVC_SITE_CACHE_DIR", None)  # that of the project before
    with tempfile.TemporaryDirectory(prefix="refrain-gate-") as name, chdir(name):
        run_git(HERE, "clone", "--quiet", str(ROOT), "project")
        with chdir("project"):
            if recipe != "default":
                shutil.copy(ROOT / text, text)
                refrain("use", recipe)
            dvc("repro", "evaluate")
            commit("accepted")
            refrain("spread", "--seeds", str(OTHER_SEEDS))
            commit("spread")
            yield


def commit(message: str) -> None:
    """Commit everything in the current folder."""
    run_git(HERE, "add", "--all")
    author = ("-c", "user.name=refrain", "-c", "user.email=refrain@localhost")
    run_git(HERE, *author, "commit", "--quiet", "--allow-empty", "--message", message)


def dvc(*arguments: str) -> None:
    """Run a command of DVC in the current folder."""
    Programs(Path.cwd()).dvc(*arguments, on_line=lambda _: None)


def refrain(*arguments: str) -> None:
    """Run a command of ours in the current folder."""
    Programs(Path.cwd()).refrain(*arguments, on_line=lambda _: None)


def measure() -> Measured:
    """All decisions in a project that :func:`project_with` has made, which is the current folder."""
    accepted = run_git(HERE, "rev-parse", "HEAD")
    compared = {"another seed": list(retrainings())}
    run_git(HERE, "reset", "--quiet", "--hard", accepted)
    dvc("checkout", "--force", "--allow-missing")
    for worse in WORSE:
        compared[f"{worse:.0%} worse"] = list(made_worse(worse))
    most = read_gate(load_params()).max_regression
    spreads = read_spreads(Revision(WORKSPACE))
    return Measured(
        machine.processor_name(),
        {name: spreads[name].relative_standard_deviation for name in load_params().models},
        [decisions(kind, models, most) for kind, models in compared.items()],
        {kind: [changes_of(rows) for rows in models] for kind, models in compared.items()},
    )


def retrainings() -> Iterator[list[Difference]]:
    """Models compared with those of the seed before, as if each had been accepted."""
    params = Path("params.yaml")
    content, own = params.read_text(encoding="utf-8"), load_params().seed
    for seed in range(FIRST_SEED, FIRST_SEED + RETRAININGS):
        params.write_text(content.replace(f"\nseed: {own}\n", f"\nseed: {seed}\n"), encoding="utf-8")
        assert load_params().seed == seed
        dvc("repro", "evaluate")
        yield differences(Revision("HEAD"), Revision(WORKSPACE))
        commit(f"seed {seed}")


def made_worse(worse: float) -> Iterator[list[Difference]]:
    """Accepted models compared with themselves and noise; the pipeline's models take turns."""
    names, accepted = list(load_params().models), Revision("HEAD")
    for number in range(MODELS_PER_WORSE):
        name = names[number % len(names)]
        model, texts, unk_id = opened(name)
        add_noise(model, texts["valid"], worse, number)
        for split, text in texts.items():
            path = artifacts.losses_path(name, split)
            path.unlink(missing_ok=True)  # DVC may have linked it from its cache
            write_losses(path, losses_of(model, text, unk_id))
        rows = [compare_model(name, split, accepted, Revision(WORKSPACE)) for split in texts]
        yield [row for row in rows if row is not None]
    dvc("checkout", "--force", "--allow-missing")


def opened(name: str) -> tuple[CharLM, dict[str, EncodedText], int | None]:
    """A model of the current folder, its held-out texts by split, and the id of ``<unk>``."""
    params = load_params()
    device.set_up(torch.device("cpu"), params.runtime.threads, "highest", params.models[name].hidden_size)
    model, stored = open_model(name, params)
    texts = {split: EncodedText(artifacts.ENCODED, split, stored) for split in HELD_OUT}
    return model, {split: text for split, text in texts.items() if len(text) > 1}, stored.vocab.unk_id


def add_noise(model: CharLM, valid: EncodedText, worse: float, seed: int) -> None:
    """Add normal noise to all weights, until validation perplexity is worse by ``worse`` (0.03: 3%)."""
    random = torch.Generator().manual_seed(seed)
    weights = dict(model.named_parameters())
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    noise = {
        name: torch.randn(weight.shape, generator=random) * weight.std() for name, weight in before.items()
    }
    nats, strength = score(model, valid).nats, FIRST_STRENGTH
    for _ in range(TRIES):
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(before[name] + strength * noise[name])
        gained = score(model, valid).nats - nats
        # A little noise may do nothing, or even help.
        strength *= min(math.sqrt(math.log1p(worse) / gained), MOST_MORE) if gained > 0 else MOST_MORE


def decisions(kind: str, models: list[list[Difference]], most: float) -> Decisions:
    """How many of ``models`` are refused: by the gate, and by their estimates alone."""
    refused = sum(any(outcome(row, most) == "refused" for row in rows) for rows in models)
    by_estimate = sum(any((row.change or 0) > most for row in rows) for rows in models)
    return Decisions(kind, len(models), refused, by_estimate)


def changes_of(rows: list[Difference]) -> dict[str, list[float | None]]:
    """The change of each model and split, and the ends of its interval."""
    return {f"{row.model} {row.split}": [row.change, row.low, row.high] for row in rows}


def page(measured: dict[str, Measured]) -> str:
    """``gate.md``."""
    rows = [
        f"| {recipe} | {made.kind} | {made.refused} of {made.models} "
        f"| {made.refused_by_estimate} of {made.models} |"
        for recipe, one in measured.items()
        for made in one.decisions
    ]
    spreads = [
        f"| {recipe} | {model} | {split} | {deviation:.1%} |"
        for recipe, one in measured.items()
        for model, by_split in one.relative_standard_deviation.items()
        for split, deviation in by_split.items()
    ]
    processors = ", ".join(sorted({one.processor for one in measured.values()}))
    template = (FOLDER / "gate.template.md").read_text(encoding="utf-8")
    return template.format(
        rows="\n".join(rows), spreads="\n".join(spreads), others=OTHER_SEEDS, processors=processors
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"some of: {', '.join(RECIPES)} (all)")
    run_program(main, parser)
