"""The recurrent cells by name, each in its own file. A new cell is a new file and a line here."""

from pipeline.errors import RefrainError
from pipeline.nn.cell import Cell
from pipeline.nn.cells.gru import GRU
from pipeline.nn.cells.lstm import LSTM
from pipeline.nn.cells.rnn import RNN_RELU, RNN_TANH

CELLS = {"rnn_tanh": RNN_TANH, "rnn_relu": RNN_RELU, "gru": GRU, "lstm": LSTM}


def find_cell(name: str) -> Cell:
    """The cell called ``name``. Raise :class:`RefrainError` if there is none."""
    if name not in CELLS:
        raise RefrainError(
            f"unknown cell {name!r}: add it to pipeline/nn/cells, or choose from {', '.join(CELLS)}"
        )
    return CELLS[name]
