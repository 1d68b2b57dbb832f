"""What `refrain show` prints."""

from pathlib import Path

import pytest

from pipeline import artifacts
from pipeline.commands.show import main, sample_lines
from pipeline.errors import RefrainError


def test_samples_stand_under_their_own_decoding() -> None:
    greedy = {"temperature": 0.0, "top_k": None, "top_p": None}
    warm = {**greedy, "temperature": 0.8}
    rows = [
        {"model": model, "prefix": "a", "text": f"{model}{i}", **decoding}
        for model in ("rnn", "gru")
        for i, decoding in enumerate((greedy, warm, warm))
    ]
    lines = [line.plain for line in sample_lines(rows)]
    assert lines[:4] == ["rnn, greedy:", "  arnn0", "rnn, temperature 0.8:", "  arnn1"]
    assert len(lines) == 8


def test_damaged_results_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    artifacts.write_text(artifacts.METRICS, '{"rnn": {"tr')
    with pytest.raises(RefrainError, match=r"reports/metrics\.json is damaged .*: delete it and run"):
        main()
