"""Prints, as lines ``name digest``, the bits of operations, of trainings and of a pipeline's artifacts.

``python -m tests.bits.digests THREADS FOLDER``: a test runs it on several processors, real and emulated.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from pipeline.arithmetic.products import order_is_fixed
from pipeline.device import set_up
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.params.runtime import RuntimeParams
from pipeline.stages import baselines, build_vocab, code, encode_corpus, evaluate, generate, report, train
from pipeline.training.loop import Trainer
from tests.bits.operations import OPERATIONS
from tests.support.training import Recorder, train_params

MODELS = {
    "rnn": {"cell": "rnn", "hidden_size": 40},
    "relu": {"cell": "rnn", "nonlinearity": "relu", "hidden_size": 40, "dropout": 0.1},
    "gru": {"cell": "gru", "hidden_size": 33, "num_layers": 2, "dropout": 0.2},
    "lstm": {"cell": "lstm", "hidden_size": 24, "embedding_size": 24, "tied": True},
    "gru_equations": {"cell": "gru", "hidden_size": 9, "embedding_size": 5},
}

TRAININGS = [
    *((model, "adam", "consecutive") for model in MODELS),
    *(("gru", optimizer, "random") for optimizer in ("sgd", "adamw")),
    *(("rnn", "sgd", sampling) for sampling in ("classic_consecutive", "classic_random")),
]


def digest(*tensors: Tensor) -> str:
    """SHA-256 of the bytes of tensors."""
    content = b"".join(tensor.detach().contiguous().numpy().tobytes() for tensor in tensors)
    return hashlib.sha256(content).hexdigest()


def trainings() -> Iterator[tuple[str, str]]:
    """The weights that short trainings end in."""
    ids = torch.randint(70, (1501,), generator=torch.Generator().manual_seed(1))
    for name, optimizer, sampling in TRAININGS:
        torch.manual_seed(0)
        implementation = "reference" if "equations" in name else "auto"
        model = CharLM(ModelConfig(vocab_size=70, **MODELS[name]), implementation)
        params = train_params(optimizer=optimizer, sampling=sampling, batch_size=13, num_steps=11, epochs=2)
        Trainer(model, ids, params, RuntimeParams(), 0, Recorder().hooks()).run()
        yield f"training {name} {optimizer} {sampling}", digest(*model.parameters())


def pipeline_artifacts(folder: Path) -> Iterator[tuple[str, str]]:
    """All files that the stages write in ``folder``, a project's."""
    os.chdir(folder)
    code.main()
    build_vocab.main()
    encode_corpus.main()
    baselines.main()
    for model in ("rnn", "gru"):
        for stage in (train, evaluate, generate):
            stage.main(model)
    report.main()
    for place in ("data", "models", "reports"):
        for path in sorted(Path(place).rglob("*")):
            if path.is_file() and "timings" not in path.parts and "raw" not in path.parts:
                yield f"artifact {path}", hashlib.sha256(path.read_bytes()).hexdigest()


def main(threads: int, folder: Path) -> None:
    """Print all digests."""
    set_up(torch.device("cpu"), threads, "highest", 1024)
    for name, operation in OPERATIONS.items():
        torch.manual_seed(0)
        print(f"operation {name} {digest(*operation())}", flush=True)
    for name, found in trainings():
        print(name, found, flush=True)
    for name, found in pipeline_artifacts(folder):
        print(name, found, flush=True)
    assert order_is_fixed()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
