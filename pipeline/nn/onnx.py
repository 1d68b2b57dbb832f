"""One time step of a model as an ONNX program, which onnxruntime runs without PyTorch."""

import json
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.onnx import ONNXProgram

from pipeline.arithmetic.products import fix_order
from pipeline.nn.cell import State
from pipeline.nn.language_model import CharLM

STATES = ("h", "c")


class _Step(nn.Module):
    def __init__(self, model: CharLM) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        logits, new = self.model(ids.unsqueeze(0), state)
        return (logits[0], *new)


def step_program(model: CharLM, chars: Sequence[str]) -> ONNXProgram:
    """A program that reads one character in each of several streams.

    Inputs: ``ids`` ``(batch_size,)``, int64, and the state, zero at first: ``h`` and, for LSTM, ``c``, each
    ``(num_layers, batch_size, hidden_size)``. Outputs: ``logits`` ``(batch_size, vocab_size)`` of the next
    characters, and the new state, ``next_h`` and ``next_c``. The metadata ``chars`` is a list of the
    vocabulary's characters, as JSON. The cell's equations are exported, so that any cell can be. Products on
    the CPU are then in PyTorch's order.
    """
    fix_order(on=False)  # it tries libraries with numbers, which the exporter does not have
    lm = CharLM(model.config, implementation="reference").eval()
    lm.load_weights({name: weight.cpu() for name, weight in model.weights().items()})
    state: State = lm.initial_state(2)
    names = STATES[: len(state)]
    batch = torch.export.Dim("batch_size")
    program = torch.onnx.export(
        _Step(lm).eval(),
        (torch.zeros(2, dtype=torch.int64), *state),
        input_names=["ids", *names],
        output_names=["logits", *(f"next_{name}" for name in names)],
        dynamic_shapes=({0: batch}, tuple({1: batch} for _ in state)),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props["chars"] = json.dumps(chars)
    return program
