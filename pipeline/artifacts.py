"""Paths of artifacts, and functions that write artifacts completely or not at all.

Every write goes to a temporary file or folder beside the target, is flushed to disk, and is then renamed. If
the process is killed, either the old artifact or the new one is there, never half of one. (While a folder is
replaced, there is a brief moment with neither.)
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.visible import visible

log = logging.getLogger(__name__)

CODE = Path("code.json")
VOCAB = Path("data/vocab.parquet")
ENCODED = Path("data/encoded")
MODELS = Path("models")
REPORTS = Path("reports")
TRAIN_REPORTS = REPORTS / "train"
EVALUATIONS = REPORTS / "evaluate"
BASELINES = REPORTS / "baselines.json"
GENERATED = REPORTS / "generate"
LOSSES = REPORTS / "losses"
METRICS = REPORTS / "metrics.json"
PERPLEXITY = REPORTS / "perplexity.json"
SPREAD = REPORTS / "spread.json"
SAMPLES = REPORTS / "samples.jsonl"
SAMPLES_MD = REPORTS / "samples.md"
INDEX = REPORTS / "index.html"
CARDS = REPORTS / "models"
CURVES = REPORTS / "curves.svg"

DVC_LOCK = Path("dvc.lock")

# Not artifacts: neither DVC nor git tracks these.
TIMINGS = REPORTS / "timings"
CHECKPOINTS = Path(".checkpoints")
ARCHIVE = Path(".archive")


def model_path(name: str) -> Path:
    """The file with the weights of model ``name``."""
    return MODELS / f"{name}.safetensors"


def checkpoint_path(name: str) -> Path:
    """The checkpoint of model ``name``. It is not a DVC output: DVC deletes those before it runs a stage."""
    return CHECKPOINTS / f"{name}.safetensors"


def record_trained_model(name: str) -> None:
    """At the end of training, record the digest of the model that the checkpoint led to.

    The checkpoint stays until DVC has recorded the model. If the run is killed before that, the next run does
    not have to train again.
    """
    digest = hashlib.md5(model_path(name).read_bytes(), usedforsecurity=False).hexdigest()
    write_text(_digest_path(name), digest)


def drop_recorded_checkpoint(name: str) -> None:
    """Delete the checkpoint of model ``name`` if ``dvc.lock`` records the model that it led to."""
    digest = _digest_path(name)
    if digest.exists() and DVC_LOCK.exists() and digest.read_text() in DVC_LOCK.read_text("utf-8"):
        checkpoint_path(name).unlink(missing_ok=True)
        digest.unlink()


def _digest_path(name: str) -> Path:
    return checkpoint_path(name).with_suffix(".md5")


def train_report(name: str) -> Path:
    """The folder with the learning curves and training samples of model ``name``."""
    return TRAIN_REPORTS / name


def evaluation_path(name: str) -> Path:
    """The file with the figures of model ``name`` on every split."""
    return EVALUATIONS / f"{name}.json"


def losses_path(name: str, split: str) -> Path:
    """The file with the losses of model ``name`` on each character of a held-out split."""
    return LOSSES / name / f"{split}.parquet"


def samples_path(name: str) -> Path:
    """The file with the text that model ``name`` wrote."""
    return GENERATED / f"{name}.jsonl"


def card_path(name: str) -> Path:
    """The file that describes model ``name`` to people and to model hubs."""
    return CARDS / f"{name}.md"


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to. It becomes ``path`` if the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        _fsync(temporary)
        temporary.replace(path)
        _fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill. It replaces ``path`` if the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for entry in [*temporary.rglob("*"), temporary]:
            _fsync(entry)
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
        _fsync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a UTF-8 file atomically, without changing its line endings."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON atomically. Raise :class:`ValueError` for NaN and infinity, which JSON lacks."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as ``sha256sum`` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def archive_removed_models(models: Collection[str]) -> None:
    """Move the files of models that are no longer in ``params.yaml`` to ``.archive``.

    The report depends on whole folders. A leftover file would enter ``dvc.lock`` as a result that no other
    clone can reproduce.
    """
    files = [*MODELS.glob("*.safetensors"), *EVALUATIONS.glob("*.json"), *GENERATED.glob("*.jsonl")]
    for path in [*files, *TRAIN_REPORTS.glob("*/"), *LOSSES.glob("*/")]:
        if path.stem not in models:
            target = ARCHIVE / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                shutil.rmtree(target)
            path.replace(target)
            moved = f"{path}: params.yaml no longer has this model: moved to {target}"
            log.info("%s", visible(moved))


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
