"""Models that need more memory than there is: said before any is taken, and no reason to try again."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.nn.cells import CELLS, find_cell
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.nn.sizes import GATES, ModelSize
from pipeline.params.load import check_params
from pipeline.params.yaml import parse_yaml
from pipeline.tensors import read_metadata, read_tensors, write_tensors
from pipeline.training.memory import explain_lack, training_size
from tests.support.project import PARAMS, Project

RNN = "rnn: {cell: rnn, hidden_size: 16, num_layers: 1}"


@given(
    st.sampled_from(sorted(CELLS)),
    st.tuples(*(st.integers(1, 9) for _ in range(3))),
    st.none() | st.integers(1, 9),
    st.booleans(),
)
def test_weights_are_counted_exactly(
    cell: str, sizes: tuple[int, int, int], embedding_size: int | None, tied: bool
) -> None:
    vocab_size, hidden_size, num_layers = sizes
    tied = tied and embedding_size is not None
    embedding_size = hidden_size if tied else embedding_size
    name, _, nonlinearity = cell.partition("_")
    config = ModelConfig(
        vocab_size,
        name,
        hidden_size,
        num_layers,
        nonlinearity or "tanh",
        embedding_size,
        tied=tied,
    )
    size = ModelSize(vocab_size, find_cell(cell).gates, hidden_size, num_layers, embedding_size, tied)
    assert size.weights() == sum(weight.numel() for weight in CharLM(config).parameters())
    assert GATES[name] == find_cell(cell).gates


MEASURE = """
import json, re, sys, torch
from pathlib import Path
from pipeline.nn.cells import find_cell
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.nn.sizes import ModelSize
from pipeline.params.train import TrainParams
from pipeline.training.gradients import Gradients
from pipeline.training.memory import TrainingSize
from pipeline.training.optim import Optimizer
from pipeline.training.ranks import ONE_RANK

def train(cell, hidden_size, num_layers, lanes, num_steps, name):
    model = CharLM(ModelConfig(100, cell, hidden_size, num_layers))
    gradients = Gradients(model, 1, ONE_RANK)
    optimizer = Optimizer(TrainParams(optimizer=name), model.parameters())
    ids = torch.randint(0, 100, (num_steps, lanes))
    for _ in range(2):
        gradients.compute(ids, ids, model.initial_state(lanes))
        optimizer.step(0.01)
    size = ModelSize(100, find_cell(cell).gates, hidden_size, num_layers, None, False)
    return TrainingSize(size, name, "last", num_steps, lanes).total()

def peak():  # of this program alone: getrusage begins with the peak of the one that started it
    return 1024 * int(re.search(r"VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1])

torch.set_num_threads(1)
cell, *sizes, name = json.loads(sys.argv[1])
train(cell, 8, 1, 2, 2, name)
before = peak()
print(train(cell, *sizes, name) / (peak() - before))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "training",
    [("gru", 512, 4, 8, 10, "adam"), ("lstm", 800, 2, 8, 10, "sgd"), ("gru", 64, 2, 256, 200, "adam")],
)
def test_a_training_takes_what_was_computed_or_somewhat_more(training: tuple[object, ...]) -> None:
    command = [sys.executable, "-c", MEASURE, json.dumps(training)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0.6 < float(result.stdout) < 1.05


@pytest.mark.parametrize(
    ("old", "new", "vocab_size", "message"),
    [
        (RNN, "rnn: {cell: rnn, hidden_size: 20000}", 3000, "models.rnn.hidden_size: 20000: "),
        (RNN, "rnn: {cell: rnn, hidden_size: 8192, num_layers: 4}", 1, "models.rnn.hidden_size: 8192: "),
        (RNN, "rnn: {cell: rnn, num_layers: 1048576}", 1, "models.rnn.num_layers: 1048576: "),
        (
            RNN,
            "rnn: {cell: rnn, hidden_size: 16, embedding_size: 1048576}",
            3000,
            "models.rnn.embedding_size: 1048576: ",
        ),
        (RNN, "rnn: {cell: rnn, hidden_size: 16384, embedding_size: 16384, tied: true}", 9, "hidden_size: "),
        ("batch_size: 8", "batch_size: 1000000000", 1, "params.yaml: train.batch_size: 1000000000: "),
        ("num_steps: 20", "num_steps: 1000000000", 1, "params.yaml: train.num_steps: 1000000000: "),
        (
            RNN,
            "rnn: {cell: rnn, train: {num_steps: 1000000000}}",
            1,
            "models.rnn.train.num_steps: 1000000000: ",
        ),
        (RNN, "rnn: {cell: rnn}", 1_100_000, "vocab.min_count: 1: "),
    ],
)
def test_the_message_names_the_key_that_matters(old: str, new: str, vocab_size: int, message: str) -> None:
    assert PARAMS.count(old) == 1
    params = check_params(parse_yaml(PARAMS.replace(old, new), "params.yaml"))
    size = training_size(params, "rnn", vocab_size, gates=1)
    free = 4_000_000_000 if vocab_size < 1_000_000 else 1_000_000_000
    assert size.total() > free
    said = explain_lack(params, "rnn", size, free)
    assert message in said
    assert "the training of rnn needs " in said
    assert f"but {free / 1e9:.1f} GB are free: " in said
    assert all(part in said for part in ("weights ", "gradients ", "optimizer ", "minibatch "))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("new", "key"),
    [
        ("hidden_size: 1048576", "hidden_size"),
        ("hidden_size: 4096, num_layers: 1048576", "num_layers"),
    ],
)
def test_check_and_train_say_it_before_they_take_memory(again: Project, new: str, key: str) -> None:
    again.edit("gru: {cell: gru, hidden_size: 16, num_layers: 2", f"gru: {{cell: gru, {new}")
    (again.folder / "models/gru.safetensors").unlink()  # the check leaves models that are there to the stage
    for command in (["refrain", "check"], ["python", "-m", "pipeline.stages.train", "--model", "gru"]):
        result = again.run(*command, check=False)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"error: params.yaml: models.gru.{key}: ")


def test_check_loads_no_torch_for_models_that_fit(project: Project) -> None:
    code = "import sys; from pipeline.commands import check; check.main(); assert 'torch' not in sys.modules"
    project.run("python", "-c", code)


def test_a_model_file_that_claims_too_much_is_one_line(again: Project) -> None:
    path = again.folder / "models/gru.safetensors"
    metadata = read_metadata(path)
    metadata["config"]["num_layers"] = 2**40
    write_tensors(path, read_tensors(path), metadata)
    result = again.run("refrain", "write", "--model", "gru", "--prefix", "分", check=False)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: models/gru.safetensors: its weights need ")
