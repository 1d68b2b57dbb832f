import shutil
import subprocess
import sys
from pathlib import Path

import torch

from pipeline.training.checkpoint import fingerprint, read_checkpoint, write_checkpoint
from tests.support.project import ROOT

STATE = {
    "weights.a": torch.arange(6.0).view(2, 3).t(),
    "random.b": torch.tensor([1, 2], dtype=torch.uint8),
    "totals.epoch": 3,
}


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "gru.safetensors"
    write_checkpoint(path, STATE, "me")
    again = read_checkpoint(path, "me")
    assert again is not None
    assert again.keys() == STATE.keys()
    assert again["totals.epoch"] == 3
    assert all(torch.equal(again[name], STATE[name]) for name in ("weights.a", "random.b"))


def test_absent_damaged_or_foreign_checkpoint_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "gru.safetensors"
    assert read_checkpoint(path, "me") is None
    write_checkpoint(path, STATE, "me")
    assert read_checkpoint(path, "another") is None
    content = path.read_bytes()
    for damaged in (content[:-3], content[:20], b""):
        path.write_bytes(damaged)
        assert read_checkpoint(path, "me") is None


def test_fingerprint_depends_on_inputs() -> None:
    assert fingerprint(seed=1, vocab="x") == fingerprint(seed=1, vocab="x")
    assert fingerprint(seed=1, vocab="x") != fingerprint(seed=2, vocab="x")


def test_fingerprint_depends_on_what_the_code_means(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline")
    program = "from pipeline.training.checkpoint import fingerprint; print(fingerprint(seed=1))"

    def found() -> str:
        command = [sys.executable, "-c", program]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    loop = tmp_path / "pipeline/training/loop.py"
    before, source = found(), loop.read_text(encoding="utf-8")
    loop.write_text(f"{source}# a comment\n", encoding="utf-8")
    assert found() == before
    loop.write_text(
        source.replace("CHECKPOINT_POLL_STEPS = 10", "CHECKPOINT_POLL_STEPS = 11"), encoding="utf-8"
    )
    assert found() != before
