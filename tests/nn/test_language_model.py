import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pipeline.errors import RefrainError
from pipeline.nn.language_model import CharLM, ModelConfig, next_lanes
from pipeline.nn.weights import describe_model, load_model, save_model

CPU = torch.device("cpu")
CELLS = ["rnn", "gru", "lstm"]


def model(**changes: object) -> CharLM:
    settings = {"vocab_size": 12, "cell": "gru", "hidden_size": 8}
    return CharLM(ModelConfig(**{**settings, **changes}))  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", CELLS)
def test_shapes(cell: str) -> None:
    lm = model(cell=cell, num_layers=2)
    logits, state = lm(torch.zeros(5, 3, dtype=torch.long), lm.initial_state(3))
    assert logits.shape == (5, 3, 12)
    assert [tuple(t.shape) for t in state] == [(2, 3, 8)] * (2 if cell == "lstm" else 1)


@pytest.mark.parametrize("cell", CELLS)
def test_state_carried_over_makes_one_sequence_of_two(cell: str) -> None:
    lm = model(cell=cell, num_layers=2).double()
    ids = torch.randint(12, (10, 3))
    whole, last = lm(ids, lm.initial_state(3))
    first, state = lm(ids[:4], lm.initial_state(3))
    second, state = lm(ids[4:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(state, last)


def test_embedding_of_unit_vectors_is_one_hot_input() -> None:
    one_hot, embedded = model().double(), model(embedding_size=12).double()
    embedded.load_state_dict({**one_hot.state_dict(), "embedding.weight": torch.eye(12).double()})
    ids = torch.randint(12, (6, 2))
    torch.testing.assert_close(
        one_hot(ids, one_hot.initial_state(2)), embedded(ids, embedded.initial_state(2))
    )


def test_tied_tables_are_one_parameter() -> None:
    lm = model(embedding_size=8, tied=True)
    assert lm.embedding is not None
    assert lm.embedding.weight is lm.decoder.weight
    assert (
        sum(p.numel() for p in lm.parameters())
        == sum(p.numel() for p in model(embedding_size=8).parameters()) - 12 * 8
    )


def test_dropout_acts_in_training_only() -> None:
    lm = model(dropout=0.5)
    ids = torch.randint(12, (6, 2))
    state = lm.initial_state(2)
    assert not torch.equal(lm(ids, state)[0], lm(ids, state)[0])
    lm.eval()
    assert torch.equal(lm(ids, state)[0], lm(ids, state)[0])


def test_dropout_acts_on_the_embedding_between_layers_and_before_the_decoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    widths = []
    monkeypatch.setattr(
        nn.functional, "dropout", lambda x, p, training: widths.append((x.shape[-1], p, training)) or x
    )
    lm = model(num_layers=2, embedding_size=5, dropout=0.3)
    lm(torch.zeros(2, 1, dtype=torch.long), lm.initial_state(1))
    assert widths == [(5, 0.3, True), (8, 0.3, True), (8, 0.3, True)]


@pytest.mark.parametrize("embedding_size", [None, 64])
def test_weights_begin_as_those_of_pytorch_do(embedding_size: int | None) -> None:
    """Uniform between plus and minus 1 / sqrt(hidden_size)."""
    lm = model(hidden_size=64, embedding_size=embedding_size)
    for name, weight in lm.rnn.named_parameters():
        assert weight.abs().max() <= 64**-0.5, name
        assert weight.detach().std() == pytest.approx(64**-0.5 / 3**0.5, rel=0.2), name


def test_weights_drawn_as_textbooks_do() -> None:
    torch.manual_seed(0)
    config = ModelConfig(vocab_size=300, cell="gru", hidden_size=100, num_layers=2)
    for name, weight in CharLM(config, init_std=0.01).named_parameters():
        if "bias" in name:
            assert not weight.any()
        else:
            assert weight.std().item() == pytest.approx(0.01, rel=0.02), name
            assert weight.mean().item() == pytest.approx(0, abs=3e-4), name


def test_next_lanes_start_where_their_neighbours_ended() -> None:
    (state,) = next_lanes((torch.tensor([[[1.0], [2.0], [3.0]]]),))
    assert state.flatten().tolist() == [0, 1, 2]


@pytest.mark.parametrize("tied", [False, True])
def test_saved_model_loads_again(tmp_path: Path, tied: bool) -> None:
    lm = model(embedding_size=8, tied=tied, num_layers=2, dropout=0.1)
    save_model(tmp_path / "gru.safetensors", lm, lm.weights(), "v")
    again = load_model(tmp_path / "gru.safetensors", "v", CPU)
    assert again.config == lm.config
    assert not again.training
    for name, weight in lm.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight)
    assert describe_model(tmp_path / "gru.safetensors")["device"] == "cpu"


@pytest.mark.parametrize(("cell", "kind"), [("rnn", nn.RNN), ("gru", nn.GRU), ("lstm", nn.LSTM)])
def test_file_loads_into_plain_pytorch(tmp_path: Path, cell: str, kind: type[nn.RNNBase]) -> None:
    lm = model(cell=cell).eval()
    save_model(tmp_path / "m.safetensors", lm, lm.weights(), "v")
    weights = load_file(tmp_path / "m.safetensors")
    module, decoder = kind(12, 8), nn.Linear(8, 12)
    module.load_state_dict({k.removeprefix("rnn."): v for k, v in weights.items() if k.startswith("rnn.")})
    decoder.load_state_dict({"weight": weights["decoder.weight"], "bias": weights["decoder.bias"]})
    ids = torch.randint(12, (6, 2))
    logits = decoder(module(nn.functional.one_hot(ids, 12).float())[0])
    torch.testing.assert_close(lm(ids, lm.initial_state(2))[0], logits)


def test_damaged_absent_or_foreign_file_is_one_line(tmp_path: Path) -> None:
    lm, path = model(), tmp_path / "gru.safetensors"
    with pytest.raises(RefrainError, match="run `dvc checkout`, or `dvc repro train@gru` to train it"):
        load_model(path, "v", CPU)
    save_model(path, lm, lm.weights(), "v")
    with pytest.raises(RefrainError, match="another vocabulary"):
        load_model(path, "w", CPU)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(RefrainError, match="damaged"):
        load_model(path, "v", CPU)
    path.write_bytes(b"")
    with pytest.raises(RefrainError, match="damaged"):
        load_model(path, "v", CPU)


SAVE = """
import sys, torch
from pathlib import Path
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.nn.weights import save_model
torch.manual_seed(0)
model = CharLM(ModelConfig(vocab_size=5, cell="gru", hidden_size=4))
save_model(Path(sys.argv[1]), model, model.weights(), "v")
"""


@pytest.mark.slow
def test_same_weights_give_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    for i in range(4):
        subprocess.run([sys.executable, "-c", SAVE, str(tmp_path / f"{i}/gru")], check=True)
    assert len({path.read_bytes() for path in tmp_path.glob("*/gru")}) == 1
