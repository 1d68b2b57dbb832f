import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import RefrainError
from pipeline.evaluation.perplexity import read, score
from pipeline.nn.language_model import CharLM, ModelConfig

CELLS = ["rnn", "gru", "lstm"]


def model(cell: str = "gru", **changes: object) -> CharLM:
    settings = {"vocab_size": 9, "cell": cell, "hidden_size": 16, "num_layers": 2, **changes}
    return CharLM(ModelConfig(**settings))  # type: ignore[arg-type]


def one_lane(lm: CharLM, ids: Tensor) -> float:
    """The whole text in one go: the definition."""
    lm.eval()
    with torch.no_grad():
        logits, _ = lm(ids[:-1].unsqueeze(1), lm.initial_state(1))
    return nn.functional.cross_entropy(logits.squeeze(1), ids[1:]).item()


def test_uniform_model_has_the_vocabularys_size() -> None:
    lm = model()
    nn.init.zeros_(lm.decoder.weight)
    nn.init.zeros_(lm.decoder.bias)
    assert score(lm, torch.randint(9, (1000,))).perplexity == pytest.approx(9, abs=1e-5)


def test_perfect_model_has_one() -> None:
    lm = model()
    nn.init.zeros_(lm.decoder.weight)
    lm.decoder.bias.data = torch.eye(9)[3] * 100
    assert score(lm, torch.full((1000,), 3)).perplexity == pytest.approx(1)


def test_metrics_by_hand() -> None:
    lm = model(vocab_size=4)
    nn.init.zeros_(lm.decoder.weight)
    nn.init.zeros_(lm.decoder.bias)
    metrics = score(lm, torch.tensor([0, 1, 2])).metrics()
    assert metrics == pytest.approx(
        {"perplexity": 4, "bits_per_character": 2, "nats_per_character": math.log(4), "characters": 2},
        rel=5e-6,
    )  # six digits


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("characters", [2, 3, 17, 100, 2041])
def test_does_not_depend_on_batch_size_or_steps(cell: str, characters: int) -> None:
    lm = model(cell).double()
    for weight in lm.rnn.parameters():
        weight.data *= 3  # a long memory
    ids = torch.randint(9, (characters,))
    expected = one_lane(lm, ids)
    for batch_size, num_steps in ((1, 7), (2, 50), (8, 16), (32, 128), (300, 1)):
        losses = np.empty(characters - 1, np.float32)
        nats = read(lm, ids, losses, batch_size, num_steps)
        assert nats / (characters - 1) == pytest.approx(expected, rel=1e-6)
        assert losses.mean(dtype=np.float64) == pytest.approx(expected, rel=1e-5)


def test_is_exact_for_a_model_that_never_forgets() -> None:
    """A counter: its state says how many characters there were, so that lanes cannot settle early."""
    lm = model("rnn", num_layers=1, hidden_size=1, nonlinearity="relu", vocab_size=2).double()
    for weight in lm.parameters():
        nn.init.zeros_(weight)
    nn.init.ones_(lm.rnn.get_parameter("weight_hh_l0"))
    lm.rnn.get_parameter("bias_ih_l0").data.fill_(0.01)
    lm.decoder.weight.data = torch.tensor([[1.0], [0.0]]).double()
    ids = torch.randint(2, (403,))
    expected = one_lane(lm, ids)
    for batch_size in (1, 5, 20):
        assert read(lm, ids, None, batch_size, num_steps=8) / 402 == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("recurrent", [float("nan"), 3.0])
def test_loss_that_is_not_finite_is_an_error_and_comes_to_an_end(recurrent: float) -> None:
    """3 makes the state of relu units grow without end: no two passes over the lanes agree."""
    lm = model("rnn", num_layers=1, nonlinearity="relu")
    nn.init.constant_(lm.rnn.get_parameter("weight_hh_l0"), recurrent)
    nn.init.ones_(lm.rnn.get_parameter("bias_ih_l0"))
    with pytest.raises(RefrainError, match="not finite"):
        read(lm, torch.randint(9, (3000,)), None, batch_size=8)


@pytest.mark.parametrize("cell", CELLS)
def test_each_characters_loss_is_that_of_one_long_lane(cell: str) -> None:
    lm = model(cell).eval()
    ids = torch.randint(9, (700,))
    with torch.no_grad():
        logits, _ = lm(ids[:-1].unsqueeze(1), lm.initial_state(1))
        expected = nn.functional.cross_entropy(logits.squeeze(1), ids[1:], reduction="none")
    for batch_size, num_steps in ((1, 7), (8, 16), (32, 128)):
        losses = np.full(699, np.nan, np.float32)
        read(lm, ids, losses, batch_size, num_steps)
        assert losses == pytest.approx(expected.numpy(), abs=1e-4)


def test_dropout_is_off_while_scoring_and_back_on_after() -> None:
    lm = model(dropout=0.5).train()
    ids = torch.randint(9, (100,))
    assert score(lm, ids) == score(lm, ids)
    assert lm.training
