"""Checkpoints: everything a training run needs to go on as if it had never stopped.

One safetensors file a model, written atomically outside DVC's outputs (which DVC deletes before a stage
runs). It carries a fingerprint of all the result depends on and is only ever read by a run with the same.
"""

import hashlib
import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

import pipeline
from pipeline.tensors import read_metadata, read_tensors, write_tensors

log = logging.getLogger(__name__)

PACKAGE = Path(pipeline.__file__).resolve().parent


@dataclass(frozen=True)
class Checkpoint:
    """Named tensors and JSON-able values."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]


def fingerprint(**inputs: object) -> str:
    """Identity of a run: its inputs, the code loaded from this project, and PyTorch's version."""
    digest = hashlib.sha256(json.dumps([inputs, torch.__version__], sort_keys=True, default=str).encode())
    for _, path in sorted(loaded_sources().items()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def loaded_sources() -> dict[str, Path]:
    """Source files of this project's modules that are loaded, the program itself among them, by name."""
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    paths = {name: Path(file).resolve() for name, file in files.items() if file}
    return {name: path for name, path in paths.items() if path.is_relative_to(PACKAGE)}


def write_checkpoint(path: Path, checkpoint: Checkpoint, identity: str) -> None:
    """Write a checkpoint atomically."""
    write_tensors(path, checkpoint.tensors, {"fingerprint": identity, "values": checkpoint.values})


def read_checkpoint(path: Path, identity: str) -> Checkpoint | None:
    """The checkpoint at ``path``; None if there is none, it is damaged, or it belongs to another run."""
    try:
        metadata = read_metadata(path)
        if metadata["fingerprint"] != identity:
            log.info("%s is of other parameters, code or text: starting anew", path)
            return None
        return Checkpoint(read_tensors(path), metadata["values"])
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        log.info("%s is damaged (%s): starting anew", path, error)
        return None
