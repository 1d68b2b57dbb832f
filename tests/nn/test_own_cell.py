"""A cell of one's own: its equations are enough to train, evaluate and write with it."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from pipeline.errors import RefrainError
from pipeline.evaluation.perplexity import score
from pipeline.generation.decoding import Decoding, generate
from pipeline.nn import cells
from pipeline.nn.cell import Cell, State
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.params.runtime import RuntimeParams
from pipeline.training.loop import Trainer
from tests.support.training import Recorder, train_params


def minimal_gated_unit(x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> State:
    """One gate, which forgets and resets alike (Zhou et al., 2016)."""
    (h,) = state
    x_f, x_n = x.chunk(2, dim=-1)
    w_f, w_n = weight_hh.chunk(2)
    b_f, b_n = bias_hh.chunk(2)
    f = torch.sigmoid(x_f + linear(h, w_f, b_f))
    return ((1 - f) * h + f * torch.tanh(x_n + linear(f * h, w_n, b_n)),)


@pytest.fixture
def mgu(monkeypatch: pytest.MonkeyPatch) -> ModelConfig:
    monkeypatch.setitem(cells.CELLS, "mgu", Cell(gates=2, states=1, equations=minimal_gated_unit))
    return ModelConfig(vocab_size=9, cell="mgu", hidden_size=16, num_layers=2, embedding_size=8)


def test_trains_evaluates_and_writes(mgu: ModelConfig) -> None:
    ids = torch.arange(400) % 9
    recorder = Recorder()
    params = train_params(epochs=30, learning_rate=0.03)
    trainer = Trainer(CharLM(mgu), ids, params, RuntimeParams(), 0, recorder.hooks())
    trainer.model.load_weights(trainer.run())
    assert recorder.epochs[0].train_perplexity > 3
    perplexity = score(trainer.model.eval(), ids).perplexity
    assert perplexity < 1.1
    (text,) = generate(trainer.model, [[3, 4]], 12, Decoding(), seed=0)
    assert text == [(5 + step) % 9 for step in range(12)]
    assert math.isfinite(perplexity)


def test_a_form_that_it_lacks_is_one_line(mgu: ModelConfig) -> None:
    model = CharLM(mgu, "fused")
    with pytest.raises(RefrainError, match="this cell has no implementation 'fused': set it to auto"):
        model(torch.zeros(3, 2, dtype=torch.long), model.initial_state(2))


def test_an_unknown_cell_raises() -> None:
    with pytest.raises(RefrainError, match="unknown cell 'gruu'"):
        CharLM(ModelConfig(vocab_size=9, cell="gruu", hidden_size=4))
