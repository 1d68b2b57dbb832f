"""`refrain export`: the program in onnxruntime computes what the model computes in PyTorch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from pipeline.artifacts import VOCAB
from pipeline.commands import export
from pipeline.errors import RefrainError
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.nn.onnx import step_program
from pipeline.nn.weights import load_model
from pipeline.text.vocab import read_characters, read_vocab
from tests.support.project import ROOT, Project

CHARS = "abcdefg<>&分"

MODELS: list[dict[str, Any]] = [
    {"cell": "rnn"},
    {"cell": "rnn", "nonlinearity": "relu", "embedding_size": 16, "tied": True},
    {"cell": "gru", "num_layers": 2, "dropout": 0.5},
    {"cell": "lstm", "num_layers": 2, "embedding_size": 5},
]


@pytest.mark.filterwarnings("ignore:::torch|copyreg")
@pytest.mark.parametrize("config", MODELS, ids=lambda config: config["cell"])
def test_onnxruntime_computes_what_pytorch_computes(config: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = CharLM(ModelConfig(len(CHARS), hidden_size=16, **config)).eval()
    step_program(model, CHARS).save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    state = model.initial_state(3)
    names = [found.name for found in session.get_inputs()][1:]
    assert names == ["h", "c"][: len(state)]
    theirs = [tensor.numpy() for tensor in state]
    for ids in torch.randint(len(CHARS), (50, 3)):
        with torch.no_grad():
            logits, state = model(ids.unsqueeze(0), state)
        found, *theirs = session.run(None, {"ids": ids.numpy(), **dict(zip(names, theirs, strict=True))})
        assert np.abs(found - logits[0].numpy()).max() < 1e-5
        assert max(np.abs(t - s.numpy()).max() for t, s in zip(theirs, state, strict=True)) < 1e-5


@pytest.mark.slow
def test_a_trained_model_becomes_one_file(finished: Project, tmp_path: Path) -> None:
    file = tmp_path / "gru.onnx"
    shown = finished.run("refrain", "export", "gru", "--to", "onnx", str(file))
    assert shown.stdout == f"{file}: one time step of gru: ids and state in, logits and state out\n"
    assert shown.stderr == ""
    assert list(tmp_path.iterdir()) == [file]
    chars = json.loads(onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map["chars"])
    assert tuple(chars) == read_characters(finished.folder / "data/vocab.parquet").chars


@pytest.mark.slow
def test_weights_in_plain_pytorch_as_documented(finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/artifacts.md").read_text(encoding="utf-8")
    example = page.partition("## Weights in plain PyTorch\n\n```python\n")[2].partition("```")[0]
    monkeypatch.chdir(finished.folder)
    defined: dict[str, Any] = {}
    exec(example, defined)
    vocab = read_vocab(VOCAB)
    model = load_model(Path("models/gru.safetensors"), vocab.sha256, torch.device("cpu"))
    ids = torch.randint(len(vocab.vocab), (20, 2))
    with torch.no_grad():
        outputs, _ = defined["gru"](torch.nn.functional.one_hot(ids, len(vocab.vocab)).float())
        logits = model.decoder(outputs)
        torch.testing.assert_close(logits, model(ids, model.initial_state(2))[0])


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "NEEDED", ("onnx", "no_such_package"))
    with pytest.raises(RefrainError, match=r"needs no_such_package: run pip install 'refrain\[onnx\]'"):
        export.main("gru", "onnx", Path("x.onnx"))
