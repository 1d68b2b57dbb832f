"""Models that need more memory than there is: said before any is taken, and no reason to try again."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.workspace.programs import error_of_program
from pipeline.errors import RefrainError, TransientError
from pipeline.memory import free_memory, kills_for_memory
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


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_limits_of_control_groups_count_also_those_further_out(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    write(proc / "self", cgroup="0::/outer/inner\n")
    write(
        groups / "outer", memory__max="3000000", memory__current="2500000", memory__stat="inactive_file 100"
    )
    write(
        groups / "outer/inner", memory__max="max", memory__current="9", memory__events="oom 4\noom_kill 3\n"
    )
    assert free_memory(proc, groups) == 500_100
    assert kills_for_memory(proc, groups) == 3

    write(proc / "self", cgroup="5:cpu:/x\n4:memory:/of/the/machine\n0::/\n")
    stat = "cache 5\ntotal_inactive_file 7\n"
    write(
        groups / "memory",
        memory__limit_in_bytes="1000",
        memory__usage_in_bytes="900",
        memory__stat=stat,
        memory__oom_control="oom_kill_disable 0\noom_kill 2\n",
    )
    assert free_memory(proc, groups) == 107
    assert kills_for_memory(proc, groups) == 2


def test_without_control_groups_the_machine_counts(tmp_path: Path) -> None:
    assert free_memory(tmp_path, tmp_path) > 0
    assert kills_for_memory(tmp_path, tmp_path) == 0
    write(tmp_path, vmstat="nr_free_pages 1\noom_kill 5\n")
    assert kills_for_memory(tmp_path, tmp_path) == 5


def test_a_kill_for_memory_is_no_transient_error() -> None:
    line = "ERROR: failed to reproduce 'train@gru': failed to run: python -m x, exited with {}"
    for status in (137, -9):
        lines = [line.format(status)]
        assert type(error_of_program(lines, 255)) is TransientError
        assert type(error_of_program(lines, 255, memory_ran_out=True)) is RefrainError
    assert type(error_of_program([], -9, memory_ran_out=True)) is RefrainError
    for status in (143, 75):
        assert type(error_of_program([line.format(status)], 255, memory_ran_out=True)) is TransientError


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 300 MB of memory, where this machine lets us make one."""
    lines = Path("/proc/self/cgroup").read_text().splitlines() if sys.platform == "linux" else []
    names = [line.split(":", 2)[2] for line in lines if ":memory:" in line]
    if not names:
        pytest.skip("no control groups of version 1 here")
    folder = Path(f"/sys/fs/cgroup/memory{names[0]}/refrain-test-{os.getpid()}")
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text("300M")
    except OSError:
        pytest.skip("this user may make no control group")
    yield folder
    folder.rmdir()


@pytest.mark.slow
def test_the_kernels_kill_is_told_from_another(small_group: Path, project: Project) -> None:
    (project.folder / "dvc.yaml").write_text(
        "stages:\n  big:\n    cmd: python -c 'bytearray(900_000_000)'\n  killed:\n    cmd: kill -9 $$\n"
    )
    code = f"""
import os
from pathlib import Path
from flows.workspace.programs import Programs
from pipeline.errors import RefrainError
Path("{small_group}/cgroup.procs").write_text(str(os.getpid()))
for stage in ("big", "killed"):
    try:
        Programs(Path.cwd()).dvc("repro", "--single-item", stage, on_line=len)
    except RefrainError as error:
        print(type(error).__name__, error)
"""
    big, killed = project.run("python", "-c", code).stdout.splitlines()
    assert big.startswith("RefrainError killed, because this machine's memory ran out: ")
    assert killed.startswith("TransientError ")
