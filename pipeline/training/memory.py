"""What a training needs of memory, said before it starts."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.errors import RefrainError
from pipeline.memory import gigabytes
from pipeline.nn.sizes import FLOAT_BYTES, ModelSize
from pipeline.params.load import PARAMS_FILE, Params

if TYPE_CHECKING:
    import torch

ORDINARY = {
    "hidden_size": 256,
    "embedding_size": 256,
    "batch_size": 32,
    "num_steps": 35,
    "vocab_size": 5000,
}
"""Sizes that nobody is asked to lower."""


@dataclass(frozen=True)
class TrainingSize:
    """What the memory of a training depends on. ``lanes`` are those that a process reads at a time."""

    model: ModelSize
    optimizer: str
    keep: str
    num_steps: int
    lanes: int
    processes: int = 1

    def parts(self) -> dict[str, int]:
        """Bytes of all processes, by what they are for."""
        weights = FLOAT_BYTES * self.processes * self.model.weights()
        parts = {
            "weights": weights,
            "gradients": weights,
            "optimizer": 0 if self.optimizer == "sgd" else 2 * weights,
            "best weights": weights // self.processes if self.keep == "best" else 0,
            "minibatch": FLOAT_BYTES * self.processes * self.model.activations(self.num_steps * self.lanes),
        }
        return {name: size for name, size in parts.items() if size}

    def total(self) -> int:
        """Bytes in all."""
        return sum(self.parts().values())


def training_size(params: Params, name: str, vocab_size: int, gates: int) -> TrainingSize:
    """The size of the training of model ``name``, with all processes in the memory of one machine."""
    settings, train, processes = params.models[name], params.train_params(name), params.runtime.processes
    model = ModelSize(
        vocab_size,
        gates,
        settings.hidden_size,
        settings.num_layers,
        settings.embedding_size,
        settings.tied,
    )
    lanes = -(-train.batch_size // (processes * params.runtime.accumulate))
    return TrainingSize(model, train.optimizer, train.keep, train.num_steps, lanes, processes)


def check_memory(params: Params, name: str, size: TrainingSize, device: "torch.device") -> None:
    """Raise :class:`RefrainError`, naming the key to change, if a device has too little free memory."""
    from pipeline.device import free_memory_of  # not at the top, because it loads PyTorch

    if device.type == "cuda":  # each process has a device of its own
        size = replace(size, processes=1)
    free = free_memory_of(device)
    if size.total() > free:
        raise RefrainError(explain_lack(params, name, size, free))


def explain_lack(params: Params, name: str, size: TrainingSize, free: int) -> str:
    """What a training needs, that only ``free`` bytes are free, and which key to change."""
    key, value, _ = min(_smaller_sizes(params, name, size), key=lambda choice: choice[2].total())
    parts = ", ".join(f"{part} {gigabytes(count)}" for part, count in size.parts().items())
    remedy = "raise it, or read less text" if key.startswith("vocab.") else "lower it"
    return (
        f"{PARAMS_FILE}: {key}: {value}: the training of {name} needs {gigabytes(size.total())} of memory "
        f"({parts}), but {gigabytes(free)} are free: {remedy}"
    )


def _smaller_sizes(params: Params, name: str, size: TrainingSize) -> Iterator[tuple[str, int, TrainingSize]]:
    """What one key each would save if it had an ordinary value: the key, its value, and the size then."""
    settings, train, model = params.models[name], params.train_params(name), size.model
    embedding = min(model.embedding_size, ORDINARY["embedding_size"]) if model.embedding_size else None
    hidden = min(model.hidden_size, ORDINARY["hidden_size"])
    smaller_models = {
        "hidden_size": replace(
            model, hidden_size=hidden, embedding_size=hidden if model.tied else model.embedding_size
        ),
        "num_layers": replace(model, num_layers=1),
        "embedding_size": replace(model, embedding_size=embedding),
    }
    for key, smaller in smaller_models.items():
        yield f"models.{name}.{key}", getattr(settings, key), replace(size, model=smaller)
    of_train = {
        "batch_size": replace(size, lanes=min(size.lanes, ORDINARY["batch_size"])),
        "num_steps": replace(size, num_steps=min(size.num_steps, ORDINARY["num_steps"])),
    }
    for key, smaller_size in of_train.items():
        place = f"models.{name}.train" if key in settings.train else "train"
        yield f"{place}.{key}", getattr(train, key), smaller_size
    alone = replace(size, processes=1, lanes=size.lanes * size.processes)
    yield "runtime.processes", size.processes, alone
    few = replace(model, vocab_size=min(model.vocab_size, ORDINARY["vocab_size"]))
    yield "vocab.min_count", params.vocab.min_count, replace(size, model=few)
