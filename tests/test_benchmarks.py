"""What benchmarks compare does the same work on both sides."""

import pytest
import torch

from benchmarks import setups, textbook
from benchmarks.bench import FIGURES, Figure, table
from pipeline.inference.sampling import Decoding, generate
from pipeline.text.vocab import build_vocab, count_chars


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_both_generate_the_same_text(cell: str) -> None:
    theirs, ours = setups.same_models(cell, 50)
    with torch.no_grad():
        expected = textbook.generate(theirs, [3, 1], 20)
    assert generate(ours, [[3, 1]], 20, Decoding(), 0) == [expected[2:]]


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_both_learn_a_text(cell: str) -> None:
    ids = torch.arange(2000) % 17
    for training in (setups.TextbookTraining, setups.OurTraining):
        side = training(cell, ids, 17)
        first = [side.epoch() for _ in range(8)]
        assert first[-1] < first[0] - 0.5


def test_both_encode_alike() -> None:
    text = "abracadabra" * 3
    ids, vocab = textbook.encode(text)
    ours = build_vocab(count_chars([text]), unk=False, min_count=1)
    assert set(vocab) == set(ours.chars)
    assert "".join(ours.chars[i] for i in ours.encode(text)) == text
    assert len(ids) == len(text)


def test_a_time_counts_only_with_its_result() -> None:
    assert setups.seconds_to(iter([3.0, 2.0, 1.0]).__next__, 2.0) > 0
    with pytest.raises(RuntimeError, match=r"no perplexity of 1\.5 in 2 epochs"):
        setups.seconds_to(lambda: 2.0, 1.5, most=2)


def test_the_table_has_a_line_for_each_figure() -> None:
    lines = table([Figure("speed", "m/s", 1.0, 2.5, 2.5, 2.0)]).splitlines()
    assert lines[-1] == "| speed | 1 m/s | 2.5 m/s | 2.50 | 2.0 |"
    assert len(FIGURES) == 12
