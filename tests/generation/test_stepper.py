"""Stepping character by character against the model's own forward pass."""

import pytest
import torch

from pipeline.arithmetic.products import fix_order
from pipeline.generation.stepper import Stepper
from pipeline.nn.cells import CELLS
from pipeline.nn.language_model import CharLM, ModelConfig


@pytest.mark.parametrize("embedding", [{}, {"embedding_size": 6, "tied": True}, {"embedding_size": 3}])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("kind", CELLS)
def test_logits_are_those_of_the_model(kind: str, num_layers: int, embedding: dict[str, int]) -> None:
    cell, _, nonlinearity = kind.partition("_")
    config = ModelConfig(
        vocab_size=11,
        cell=cell,
        hidden_size=6,
        num_layers=num_layers,
        nonlinearity=nonlinearity or "tanh",
        **embedding,  # type: ignore[arg-type]
    )
    model = CharLM(config).double().eval()
    ids = torch.randint(11, (9, 4))
    with torch.inference_mode():
        expected, _ = model(ids, model.initial_state(4))
        stepper = Stepper(model, streams=4)
        logits = torch.stack([stepper(row) for row in ids])
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("streams", [1, 4, 5])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_products_in_the_fixed_order_give_the_logits_of_the_model(cell: str, streams: int) -> None:
    model = CharLM(ModelConfig(vocab_size=70, cell=cell, hidden_size=200, num_layers=2)).eval()
    ids = torch.randint(70, (9, streams))
    fix_order(True)
    try:
        with torch.inference_mode():
            expected, _ = model(ids, model.initial_state(streams))
            stepper = Stepper(model, streams)
            logits = torch.stack([stepper(row) for row in ids])
    finally:
        fix_order(False)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
