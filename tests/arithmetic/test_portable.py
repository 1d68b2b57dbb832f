"""What says whether results are portable."""

import os
import platform
import subprocess
import sys

import pytest

from pipeline.arithmetic.portable import PORTABLE
from tests.support.project import ROOT

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="results of x86-64 are portable")

SET_UP = """
import logging, sys, torch
logging.basicConfig(format="%(message)s", stream=sys.stdout)
from pipeline.arithmetic.portable import computed_by
from pipeline.device import set_up
{before}
device = torch.device("cpu")
set_up(device, 1, {precision!r}, 64)
{after}
print(computed_by(device, {precision!r}))
"""


def set_up(precision: str = "highest", before: str = "", after: str = "", **variables: str) -> list[str]:
    """Lines that a new process logs and prints; the last one says what computed."""
    code = SET_UP.format(precision=precision, before=before, after=after)
    environment = {name: value for name, value in os.environ.items() if name != "ATEN_CPU_CAPABILITY"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env={**environment, **variables}, check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


def test_the_default_is_portable_and_says_nothing() -> None:
    assert set_up() == [PORTABLE]


def test_other_precisions_say_so_and_name_the_processor() -> None:
    line, description = set_up("medium")
    assert line == "results are not portable: the precision of products is medium, not highest"
    assert description.endswith("precision medium")
    assert description.split()[0] in ("AuthenticAMD", "GenuineIntel")


def test_a_processor_without_avx2_says_so() -> None:
    without = "torch.cpu.get_capabilities = lambda: {'architecture': 'x86_64', 'avx2': False, 'fma3': False}"
    line, description = set_up(before=without)
    assert line == "results are not portable: this processor has no AVX2"
    assert description != PORTABLE


def test_another_vector_width_says_so() -> None:
    line, description = set_up(ATEN_CPU_CAPABILITY="default")
    assert line.startswith("results are not portable: PyTorch computes with ")
    assert description != PORTABLE


def test_layers_of_pytorch_say_so() -> None:
    run = """
from pipeline.nn.language_model import CharLM, ModelConfig
model = CharLM(ModelConfig(vocab_size=9, cell="gru", hidden_size=64), "torch")
for _ in range(2):
    model(torch.zeros(3, 2, dtype=torch.long), model.initial_state(2))
"""
    line, description = set_up(after=run)
    assert line == "results are not portable: train.implementation: torch leaves products to PyTorch"
    assert description != PORTABLE
