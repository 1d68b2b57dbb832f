"""The recurrent cells by name, each in a file of its own. A new one is a new file, and a line here."""

from pipeline.errors import RefrainError
from pipeline.nn.cell import Cell
from pipeline.nn.cells.gru import GRU
from pipeline.nn.cells.lstm import LSTM
from pipeline.nn.cells.rnn import RNN_RELU, RNN_TANH

CELLS = {"rnn_tanh": RNN_TANH, "rnn_relu": RNN_RELU, "gru": GRU, "lstm": LSTM}


def find_cell(name: str) -> Cell:
    """The cell of that name; :class:`RefrainError` if there is none."""
    if name not in CELLS:
        raise RefrainError(f"there is no cell {name!r} in pipeline/nn/cells; there are {', '.join(CELLS)}")
    return CELLS[name]
