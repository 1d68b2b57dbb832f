"""Where artifacts live, and how they are written: whole or not at all.

Every write goes to a temporary neighbour, is flushed to the disk and renamed to the target, so a process
killed at any instant leaves the old artifact or the new one (of a folder, for an instant, neither), and never
a part of one.
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

VOCAB = Path("data/vocab.parquet")
ENCODED = Path("data/encoded")
MODELS = Path("models")
CHECKPOINTS = Path(".checkpoints")
REPORTS = Path("reports")
TRAIN_REPORTS = REPORTS / "train"
METRICS = REPORTS / "metrics.json"
SAMPLES = REPORTS / "samples.jsonl"
SAMPLES_MD = REPORTS / "samples.md"
INDEX = REPORTS / "index.html"
CURVES = REPORTS / "curves.svg"
TIMINGS = REPORTS / "timings"
DVC_LOCK = Path("dvc.lock")
UNUSED = Path(".unused")


def model_path(name: str) -> Path:
    """The weights of model ``name``."""
    return MODELS / f"{name}.safetensors"


def checkpoint_path(name: str) -> Path:
    """The checkpoint of a training under way: outside DVC's outputs, which DVC deletes before a run."""
    return CHECKPOINTS / f"{name}.safetensors"


def close_checkpoint(name: str) -> None:
    """Note which model the checkpoint led to: until DVC has recorded it, the checkpoint may be needed."""
    write_text(_note(name), hashlib.md5(model_path(name).read_bytes(), usedforsecurity=False).hexdigest())


def drop_closed_checkpoint(name: str) -> None:
    """Delete a checkpoint whose model stands in ``dvc.lock``: it has served."""
    if _note(name).exists() and DVC_LOCK.exists() and _note(name).read_text() in DVC_LOCK.read_text("utf-8"):
        checkpoint_path(name).unlink(missing_ok=True)
        _note(name).unlink()


def _note(name: str) -> Path:
    return checkpoint_path(name).with_suffix(".md5")


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
    """Hexadecimal SHA-256 of a file's bytes, as ``sha256sum`` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def set_aside(models: Collection[str]) -> None:
    """Move what remains of models that are no longer in ``params.yaml`` to ``.unused``.

    Stages depend on the folders of all models as wholes: a file left behind would make ``dvc.lock`` name
    results that no other clone can have.
    """
    found = [*MODELS.glob("*.safetensors"), *TRAIN_REPORTS.glob("*/")]
    for path in found:
        if path.stem not in models:
            target = UNUSED / path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                if path.is_dir():
                    shutil.rmtree(target, ignore_errors=True)
                path.replace(target)
            except FileNotFoundError:
                continue  # another stage, run side by side, was first
            log.info("%s: no such model in params.yaml any more: moved to %s", path, target)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
