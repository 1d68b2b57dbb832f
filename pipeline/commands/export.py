"""Write a trained model in a form that other programs run, as in `refrain export gru --to onnx gru.onnx`."""

import argparse
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path

from pipeline.artifacts import atomic_file
from pipeline.errors import RefrainError
from pipeline.params.load import load_params
from pipeline.visible import visible

NEEDED = ("onnx", "onnxscript")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``refrain export``."""
    parser.add_argument("model", help="a name under `models` in params.yaml")
    parser.add_argument("--to", required=True, choices=["onnx"], help="one time step of the model, as ONNX")
    parser.add_argument("file", type=Path, help="where to write it")


def main(model: str, to: str, file: Path) -> None:
    """Write the file (see :func:`pipeline.nn.onnx.step_program`)."""
    params = load_params()
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise RefrainError(f"--to {to} needs {' and '.join(missing)}: run pip install 'refrain[{to}]'")

    # Imported here: PyTorch takes a second to load, and --help and parameter errors should not wait for it.
    from pipeline.nn.onnx import step_program
    from pipeline.nn.weights import open_model

    lm, stored = open_model(model, params)
    logging.disable(logging.WARNING)  # the exporter warns of packages that it does not need
    with warnings.catch_warnings(action="ignore"), atomic_file(file) as temporary:
        step_program(lm, stored.vocab.chars).save(temporary, external_data=False)
    print(f"{visible(str(file))}: one time step of {model}: ids and state in, logits and state out")
