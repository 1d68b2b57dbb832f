"""Replications in a folder of their own, small enough for tests."""

import json
import shutil
import zipfile
from pathlib import Path

from replications.results import RESULTS, SAMPLES
from tests.support.project import ROOT, Project

SMALL = [
    "corpus.max_chars=2000",
    "train.epochs=3",
    "train.sample.every=10",
    "train.batch_size=8",
    "vocab.unk=true",
    "train.sample.length=5",
    "runtime.threads=1",
]
"""Changes after which a recipe trains in a second."""

NAMES = sorted(path.stem for path in (ROOT / RESULTS).glob("*.json"))
"""All runs."""


def write_text(folder: Path) -> None:
    """Put this project's own lyrics where the recipes expect the textbook's."""
    path = folder / "data/raw/jaychou_lyrics.txt.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = zipfile.ZipInfo("jaychou_lyrics.txt")  # its date is always the same
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, (ROOT / "data/raw/lyrics.txt").read_bytes())


def write_samples(folder: Path) -> None:
    """Samples of all runs, which git does not keep: letters in their places."""
    (folder / SAMPLES).mkdir(parents=True)
    for name in NAMES:
        prefixes = json.loads((ROOT / RESULTS / f"{name}.json").read_text(encoding="utf-8"))["prefixes"]
        rows = [{"epoch": epoch, "texts": ["abcdefghijklmnop"] * len(prefixes)} for epoch in (0, 50)]
        (folder / SAMPLES / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")


def copy_replications(folder: Path) -> None:
    """All that git has of the replications, and the costs that their pages show."""
    ignored = shutil.ignore_patterns("__pycache__", "tmp", "cache", "samples", "page", "overlays.json")
    shutil.copytree(ROOT / "replications", folder / "replications", ignore=ignored)
    (folder / "benchmarks").mkdir()
    shutil.copy(ROOT / "benchmarks/exercises.json", folder / "benchmarks")


def with_replications(project: Project) -> Project:
    """A project with the replications, of which the recipe ``gru-torch`` is small; all is committed."""
    copy_replications(project.folder)
    write_text(project.folder)
    project.edit("max_chars: 10000", "max_chars: 2000", "replications/recipes/rnn-torch.yaml")
    project.edit("epochs: 160", "epochs: 2", "replications/recipes/gru-torch.yaml")
    project.edit("every: 320", "every: 1", "replications/recipes/gru-torch.yaml")
    project.commit("replications")
    return project
