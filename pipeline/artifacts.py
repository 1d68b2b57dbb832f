"""Where artifacts are, and how they are written: whole or not at all.

Every write goes to a temporary neighbour, is flushed to the disk and renamed to the target. A process killed
at any instant leaves the old artifact or the new one (of a folder, for an instant, neither), never a part of
one.
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
METRICS = REPORTS / "metrics.json"
SAMPLES = REPORTS / "samples.jsonl"
SAMPLES_MD = REPORTS / "samples.md"
INDEX = REPORTS / "index.html"
CURVES = REPORTS / "curves.svg"

DVC_LOCK = Path("dvc.lock")

# Not artifacts: DVC and git do not know these.
TIMINGS = REPORTS / "timings"
CHECKPOINTS = Path(".checkpoints")
ARCHIVE = Path(".archive")


def model_path(name: str) -> Path:
    """The weights of model ``name``."""
    return MODELS / f"{name}.safetensors"


def checkpoint_path(name: str) -> Path:
    """Where a training under way is saved: outside DVC's outputs, which DVC deletes before a stage."""
    return CHECKPOINTS / f"{name}.safetensors"


def close_checkpoint(name: str) -> None:
    """Note, at the end of a training, which model its checkpoint led to.

    The checkpoint stays until DVC has recorded the model: if the run is killed in between, the next one need
    not train again.
    """
    digest = hashlib.md5(model_path(name).read_bytes(), usedforsecurity=False).hexdigest()
    write_text(_note(name), digest)


def drop_recorded_checkpoint(name: str) -> None:
    """Delete the checkpoint of a training whose model stands in ``dvc.lock``."""
    note = _note(name)
    if note.exists() and DVC_LOCK.exists() and note.read_text() in DVC_LOCK.read_text("utf-8"):
        checkpoint_path(name).unlink(missing_ok=True)
        note.unlink()


def _note(name: str) -> Path:
    return checkpoint_path(name).with_suffix(".md5")


def train_report(name: str) -> Path:
    """Learning curves and samples of the training of model ``name``."""
    return TRAIN_REPORTS / name


def evaluation_path(name: str) -> Path:
    """Held-out figures of model ``name``, or of the baselines."""
    return EVALUATIONS / f"{name}.json"


def samples_path(name: str) -> Path:
    """Text that model ``name`` wrote."""
    return GENERATED / f"{name}.jsonl"


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path to write; it becomes ``path`` when the block ends without an exception."""
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
    """A temporary folder to fill; it replaces ``path`` when the block ends without an exception."""
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
    """Write a UTF-8 file atomically, with the line ends as they are."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON atomically; NaN and infinity are refused, since JSON has neither."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as ``sha256sum`` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def archive_removed_models(models: Collection[str]) -> None:
    """Move what remains of models that are no longer in ``params.yaml`` to ``.archive``.

    The report depends on whole folders: a file left behind in one would put results into ``dvc.lock`` that no
    other clone can have.
    """
    files = [*MODELS.glob("*.safetensors"), *EVALUATIONS.glob("*.json"), *GENERATED.glob("*.jsonl")]
    for path in [*files, *TRAIN_REPORTS.glob("*/")]:
        if path.stem not in models:
            target = ARCHIVE / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                shutil.rmtree(target)
            path.replace(target)
            log.info("%s: no such model in params.yaml any more: moved to %s", path, target)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
