"""Results repeat to the bit: with any number of threads, and from the first operation of a process on."""

import json
import os
import subprocess
import sys

import pytest
import torch

from tests.support.project import ROOT

SIZES = [(64, 1, 16, 35), (100, 2, 7, 13), (37, 1, 33, 9), (700, 1, 50, 5)]
"""hidden_size, num_layers, batch_size, num_steps: round ones, and ones that fit no vector register."""

TRAIN = """
import hashlib, json, sys
import torch
from pipeline.device import set_up
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.training.loop import Trainer
from tests.support.training import Recorder, train_params
from pipeline.params.runtime import RuntimeParams

ids = torch.randint(300, (3001,), generator=torch.Generator().manual_seed(1))
for cell in ("rnn", "gru", "lstm"):
    for hidden_size, num_layers, batch_size, num_steps in json.loads(sys.argv[3]):
        set_up(torch.device("cpu"), int(sys.argv[1]), sys.argv[2], hidden_size)
        torch.manual_seed(0)
        model = CharLM(ModelConfig(vocab_size=300, cell=cell, hidden_size=hidden_size, num_layers=num_layers))
        params = train_params(epochs=2, batch_size=batch_size, num_steps=num_steps)
        Trainer(model, ids, params, RuntimeParams(), 0, Recorder().hooks()).run()
        weights = [weight.detach().contiguous().numpy().tobytes() for weight in model.parameters()]
        print(cell, hidden_size, hashlib.sha256(b"".join(weights)).hexdigest())
"""


FIRST_OPERATIONS = """
import hashlib, os
import torch
from pipeline.device import set_up

x = torch.linspace(-3, 3, 1 << 15)
for _ in range(300):
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    set_up(torch.device("cpu"), 2, "highest", 256)
    results = b"".join(operation(x).numpy().tobytes() for operation in (torch.tanh, torch.exp))
    results += torch.log(x.double() + 4).numpy().tobytes()
    os.write(1, hashlib.sha256(results).hexdigest().encode() + b"\\n")
    os._exit(0)
"""


def run(code: str, *arguments: str) -> list[str]:
    """Lines that a process of its own prints."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="300 fresh processes take minutes without fork")
def test_first_operations_of_a_process_give_what_later_ones_do() -> None:
    """One process in twenty was off by 5e-5, before each function was called once on one thread."""
    results = run(FIRST_OPERATIONS)
    assert len(results) == 300
    assert len(set(results)) == 1


@pytest.mark.slow
@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="products are another library's than MKL's")
@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_weights_do_not_depend_on_the_number_of_threads(precision: str) -> None:
    results = [run(TRAIN, threads, precision, json.dumps(SIZES)) for threads in ("1", "2", "4")]
    assert len(results[0]) == 3 * len(SIZES)
    assert results[1] == results[0]
    assert results[2] == results[0]
