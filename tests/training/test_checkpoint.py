from pathlib import Path

import pytest
import torch

from pipeline.training import checkpoint
from pipeline.training.checkpoint import Checkpoint, fingerprint, read_checkpoint, write_checkpoint

STATE = Checkpoint(
    {"a": torch.arange(6.0).view(2, 3).t(), "b": torch.tensor([1, 2], dtype=torch.uint8)}, {"epoch": 3}
)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "gru.safetensors"
    write_checkpoint(path, STATE, "me")
    again = read_checkpoint(path, "me")
    assert again is not None
    assert again.values == STATE.values
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in STATE.tensors.items())


def test_absent_damaged_or_foreign_checkpoint_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "gru.safetensors"
    assert read_checkpoint(path, "me") is None
    write_checkpoint(path, STATE, "me")
    assert read_checkpoint(path, "another") is None
    content = path.read_bytes()
    for damaged in (content[:-3], content[:20], b""):
        path.write_bytes(damaged)
        assert read_checkpoint(path, "me") is None


def test_fingerprint_depends_on_inputs_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fingerprint(seed=1, vocab="x") == fingerprint(seed=1, vocab="x")
    assert fingerprint(seed=1, vocab="x") != fingerprint(seed=2, vocab="x")
    assert "pipeline.training.trainer" in checkpoint.loaded_sources()
    source = tmp_path / "code.py"
    monkeypatch.setattr(checkpoint, "loaded_sources", lambda: {"pipeline.code": source})
    source.write_text("x = 1")
    before = fingerprint(seed=1)
    source.write_text("x = 2")
    assert fingerprint(seed=1) != before
