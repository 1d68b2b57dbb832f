"""Trained models as safetensors files, with the names of ``torch.nn`` and the configuration as metadata."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from pipeline import artifacts
from pipeline.arithmetic.portable import computed_by
from pipeline.device import choose_device, set_up
from pipeline.errors import RefrainError, first_line
from pipeline.memory import free_memory, gigabytes
from pipeline.nn.cells import find_cell
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.nn.sizes import FLOAT_BYTES, ModelSize
from pipeline.params.load import Params
from pipeline.tensors import read_metadata, read_tensors, write_tensors
from pipeline.text.vocab import VocabFile, read_vocab

DESCRIPTION = ("model", "config", "vocab_sha256", "device", "precision", "computed_by", "sha256")


def open_model(name: str, params: Params) -> tuple[CharLM, VocabFile]:
    """The trained model ``name``, ready to evaluate on the configured device, and its vocabulary.

    Raises :class:`RefrainError` if ``params.yaml`` has no such model, if the model or the vocabulary is
    missing or damaged, or if they do not belong together.
    """
    if name not in params.models:
        raise RefrainError(f"params.yaml has no model {name!r}: choose from {', '.join(params.models)}")
    path, stored = artifacts.model_path(name), read_vocab(artifacts.VOCAB)
    device, trained = choose_device(params.runtime.device), describe_model(path)
    set_up(device, params.runtime.threads, trained["precision"], trained["config"]["hidden_size"])
    return load_model(path, stored.sha256, device), stored


def save_model(
    path: Path,
    model: CharLM,
    weights: Mapping[str, Tensor],
    vocab_sha256: str,
    precision: str = "highest",
) -> None:
    """Write ``weights``, which ``model.weights()`` returned, with the metadata that describe them.

    ``precision`` is the precision of matrix products in training, and later in evaluation.
    """
    metadata = {
        "model": path.stem,
        "config": asdict(model.config),
        "vocab_sha256": vocab_sha256,
        "device": model.device.type,
        "precision": precision,
        "computed_by": computed_by(model.device, precision),
    }
    write_tensors(path, weights, metadata)


def describe_model(path: Path) -> dict[str, Any]:
    """A model's name (``model``), its ``config`` and ``vocab_sha256``, the type of ``device`` and the
    ``precision`` that it was trained with, what it was ``computed_by``, and the ``sha256`` of its weights.

    Raises :class:`RefrainError` if the file is missing or damaged.
    """
    with _damage_explained(path):
        metadata = read_metadata(path)
        return {key: metadata[key] for key in DESCRIPTION}


def load_model(path: Path, vocab_sha256: str, device: torch.device) -> CharLM:
    """Read a model for evaluation.

    Raises :class:`RefrainError` if the file is missing or damaged, or belongs to another model or vocabulary.
    """
    metadata = describe_model(path)
    if metadata["model"] != path.stem:
        raise RefrainError(f"{path} holds model {metadata['model']}: run `dvc repro train@{path.stem}`")
    if metadata["vocab_sha256"] != vocab_sha256:
        raise RefrainError(f"{path} was trained with another vocabulary: run `dvc repro train@{path.stem}`")
    with _damage_explained(path):
        config = ModelConfig(**metadata["config"])
        check_room(path, config)
        model = CharLM(config)
        model.load_weights(read_tensors(path))
    return model.to(device).eval()


def check_room(path: Path, config: ModelConfig) -> None:
    """Raise :class:`RefrainError` if this machine has too little free memory for a model's weights."""
    gates = find_cell(config.cell_name).gates
    sizes = (config.hidden_size, config.num_layers, config.embedding_size, config.tied)
    needed, free = FLOAT_BYTES * ModelSize(config.vocab_size, gates, *sizes).weights(), free_memory()
    if needed > free:
        raise RefrainError(
            f"{path}: its weights need {gigabytes(needed)} of memory, but {gigabytes(free)} are free: "
            "use another machine, or train a smaller model"
        )


@contextmanager
def _damage_explained(path: Path) -> Iterator[None]:
    """Turn errors while reading a model into one line."""
    stage = f"train@{path.stem}"
    try:
        yield
    except FileNotFoundError:
        remedy = f"run `dvc checkout`, or `dvc repro {stage}` to train it"
        raise RefrainError(f"{path} is missing: {remedy}") from None
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise RefrainError(
            f"{path} is damaged ({first_line(error)}): delete it and run `dvc checkout`, or "
            f"`dvc repro --force {stage}` to train it again"
        ) from None
