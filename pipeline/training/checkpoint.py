"""Checkpoints: everything a training needs to go on as if it had never stopped.

One safetensors file a model, written atomically outside DVC's outputs, which DVC deletes before a stage runs.
It carries a fingerprint of all that determines the result, and only a training with the same reads it.
"""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from pipeline.code_digest import program_digest
from pipeline.tensors import read_metadata, read_tensors, write_tensors

log = logging.getLogger(__name__)


def fingerprint(**inputs: object) -> str:
    """Identity of a training: what determines its result, the code of the stage train included."""
    content = json.dumps([inputs, program_digest("pipeline.stages.train")], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def write_checkpoint(path: Path, state: dict[str, Any], identity: str) -> None:
    """Write tensors, and values that fit JSON, atomically."""
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    values = {name: value for name, value in state.items() if name not in tensors}
    write_tensors(path, tensors, {"fingerprint": identity, "values": values})


def read_checkpoint(path: Path, identity: str) -> dict[str, Any] | None:
    """What :func:`write_checkpoint` wrote; None if it is absent, damaged, or another training's."""
    try:
        metadata = read_metadata(path)
        if metadata["fingerprint"] != identity:
            log.info("%s is of other parameters, code or text: starting anew", path)
            return None
        return {**read_tensors(path), **metadata["values"]}
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        log.info("%s is damaged (%s): starting anew", path, error)
        return None
