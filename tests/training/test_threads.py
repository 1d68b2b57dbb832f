"""Trained weights do not depend on the number of threads, to the bit."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SIZES = [(64, 1, 16, 35), (100, 2, 7, 13), (37, 1, 33, 9)]
"""hidden_size, num_layers, batch_size, num_steps: round ones, and ones that fit no vector register."""

TRAIN = """
import hashlib, sys
import torch
from pipeline.device import set_up
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.training.trainer import Trainer
from tests.training.common import Recorder, train_params
from tests.training.test_threads import SIZES

set_up(torch.device("cpu"), int(sys.argv[1]), sys.argv[2])
ids = torch.randint(300, (3001,), generator=torch.Generator().manual_seed(1))
for cell in ("rnn", "gru", "lstm"):
    for hidden_size, num_layers, batch_size, num_steps in SIZES:
        torch.manual_seed(0)
        model = CharLM(ModelConfig(vocab_size=300, cell=cell, hidden_size=hidden_size, num_layers=num_layers))
        params = train_params(epochs=2, batch_size=batch_size, num_steps=num_steps)
        Trainer(model, ids, params, 0, 1e9, Recorder().hooks()).run()
        weights = [weight.detach().contiguous().numpy().tobytes() for weight in model.parameters()]
        print(cell, hidden_size, hashlib.sha256(b"".join(weights)).hexdigest())
"""


@pytest.mark.slow
def test_weights_do_not_depend_on_the_number_of_threads() -> None:
    cpu = Path("/proc/cpuinfo")
    if not cpu.exists() or "GenuineIntel" not in cpu.read_text(encoding="utf-8"):
        pytest.skip("MKL has its strict mode on Intel's processors only")
    results = [
        subprocess.run(
            [sys.executable, "-c", TRAIN, threads, "highest"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for threads in ("1", "2", "4")
    ]
    assert len(results[0].splitlines()) == 3 * len(SIZES)
    assert results[1] == results[0]
    assert results[2] == results[0]
