"""Checkpoints: everything that a training needs to continue as if it had never stopped.

Each model has one safetensors file, written atomically. It is not a DVC output, because DVC deletes outputs
before it runs a stage. The file contains a fingerprint of everything that determines the result. Only a
training with the same fingerprint reads it.
"""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from pipeline.code_digest import program_digest
from pipeline.errors import first_line
from pipeline.tensors import read_metadata, read_tensors, write_tensors

log = logging.getLogger(__name__)


def fingerprint(**inputs: object) -> str:
    """A digest of everything that determines a training's result, including the code of the stage train."""
    content = json.dumps([inputs, program_digest("pipeline.stages.train")], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def write_checkpoint(path: Path, state: dict[str, Any], identity: str) -> None:
    """Write tensors and JSON-serialisable values, atomically."""
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    values = {name: value for name, value in state.items() if name not in tensors}
    write_tensors(path, tensors, {"fingerprint": identity, "values": values})


def read_checkpoint(path: Path, identity: str) -> dict[str, Any] | None:
    """What :func:`write_checkpoint` wrote, or None if it is missing, damaged, or from another training."""
    try:
        metadata = read_metadata(path)
        if metadata["fingerprint"] != identity:
            log.info("%s belongs to other parameters, code or text: starting from scratch", path)
            return None
        return {**read_tensors(path), **metadata["values"]}
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        log.info("%s is damaged (%s): starting from scratch", path, first_line(error))
        return None
