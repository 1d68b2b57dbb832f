"""What benchmarks compare does the same work on both sides."""

from itertools import pairwise

import pytest
import torch

from benchmarks import scaling, setups, textbook
from benchmarks.bench import FIGURES, Figure, table
from pipeline.generation.decoding import Decoding, generate
from pipeline.text.vocab import count_chars, vocab_from_counts


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


def test_adding_up_on_paper_by_hand() -> None:
    network = scaling.Network("test", bandwidth=1e6, latency=0.1)
    assert scaling.add_up_seconds(1e6, 1, network) == 0
    assert scaling.add_up_seconds(1e6, 2, network) == pytest.approx(1 + 0.2)
    assert scaling.add_up_seconds(1e6, 5, network) == pytest.approx(1.6 + 0.8)
    assert scaling.add_up_seconds(1e6, 5, network, as_tree=True) == pytest.approx(1.6 + 0.6)


def test_more_ranks_on_paper_never_get_more_efficient_and_less_data_never_less() -> None:
    rows = scaling.simulate({"32": 50_000.0, "128": 60_000.0}, scaling.NETWORKS)
    assert len(rows) == 2 * 2 * len(scaling.NETWORKS) * len(scaling.RANKS)
    assert scaling.table(rows).count("\n| ") == 2 * 2 * 5
    assert all(value == 1 for value in rows[0]["efficiency"].values()), "one rank adds nothing up"
    for before, after in pairwise(rows):
        if after["ranks"] > before["ranks"]:
            assert after["efficiency"]["dense"] <= before["efficiency"]["dense"]
        assert after["efficiency"]["sparse"] >= after["efficiency"]["dense"]


def test_a_network_follows_from_two_times_that_it_took() -> None:
    network = scaling.Network("test", bandwidth=1e9, latency=1e-4)
    took = {
        "add_up_seconds": scaling.add_up_seconds(4 * scaling.gradients(), 2, network),
        "add_up_one_seconds": scaling.add_up_seconds(4, 2, network),
    }
    found = scaling.loopback(took)
    assert found.bandwidth == pytest.approx(1e9, rel=1e-4)
    assert found.latency == pytest.approx(1e-4, rel=1e-4)


def test_both_encode_alike() -> None:
    text = "abracadabra" * 3
    ids, vocab = textbook.encode(text)
    ours = vocab_from_counts(count_chars([text]), unk=False, min_count=1)
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
