"""Safetensors files of named tensors, with metadata and a checksum over all tensors."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from pipeline.artifacts import write_bytes


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors with ``metadata`` (JSON-serialisable), atomically."""
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = {**metadata, "sha256": _sha256(stored)}
    # A single key, because safetensors writes several keys in an order that changes from run to run.
    write_bytes(path, save(stored, {"refrain": json.dumps(content)}))


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata that :func:`write_tensors` stored, with the ``sha256`` of the tensors."""
    with safe_open(path, framework="pt") as file:
        metadata: dict[str, Any] = json.loads(file.metadata()["refrain"])
        return metadata


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors. Raise :class:`ValueError` if they do not match their checksum."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _sha256(tensors) != json.loads(file.metadata()["refrain"])["sha256"]:
            raise ValueError("its checksum is wrong")
    return tensors


def _sha256(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().data.cast("B") if tensor.numel() else b"")
    return digest.hexdigest()
