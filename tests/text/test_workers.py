"""Pieces of a text on real Dask clusters."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from pipeline.data.encoding import encode_piece, plan_shards
from pipeline.errors import RefrainError, TransientError
from pipeline.params.runtime import RuntimeParams
from pipeline.text import corpus
from pipeline.text.corpus import Corpus
from pipeline.text.vocab import VocabFile, count_chars, vocab_from_counts
from pipeline.text.workers import parallel_map
from tests.support.corpus import corpus_params

pytestmark = pytest.mark.slow

TEXT = "".join(f"分开 {number} 不分开\n" for number in range(4000))


def encode(path: Path, folder: Path, runtime: RuntimeParams) -> dict[str, bytes]:
    """Count and encode a file; the bytes of all shards."""
    source = Corpus(corpus_params(path))
    pieces = source.pieces()
    assert len(pieces) > 5
    with parallel_map(runtime) as over:
        counts = source.count(pieces, over)
        placements = source.placements(pieces, counts)
        vocab = vocab_from_counts(count_chars(source.read()), unk=False, min_count=1)
        stored = VocabFile(vocab, "v", tuple(placements), source.splits(placements, counts))
        assert all(over(partial(encode_piece, source.params, stored, folder), plan_shards(pieces, stored)))
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def die_once(folder: Path, number: int) -> int:
    marker = folder / str(number)
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die(number: int) -> None:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)


def refuse(number: int) -> None:
    raise RefrainError(f"{number} is not text")


def test_shards_are_the_same_bytes_whoever_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "PIECE_BYTES", 10_000)
    path = tmp_path / "a.txt"
    path.write_text(TEXT, encoding="utf-8")
    alone = encode(path, tmp_path / "alone", RuntimeParams())
    assert encode(path, tmp_path / "two", RuntimeParams(text_workers=2)) == alone
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        theirs = RuntimeParams(text_scheduler=cluster.scheduler_address)
        assert encode(path, tmp_path / "theirs", theirs) == alone


def test_process_that_is_killed_costs_its_piece_only(tmp_path: Path) -> None:
    with parallel_map(RuntimeParams(text_workers=2)) as over:
        assert list(over(partial(die_once, tmp_path), range(8))) == [n * n for n in range(8)]
    assert (tmp_path / "3").exists()


def test_process_that_dies_again_and_again_is_one_line() -> None:
    with (
        pytest.raises(RefrainError, match=r"died 4 times on the same piece: .* runtime\.text_workers: 1"),
        parallel_map(RuntimeParams(text_workers=2)) as over,
    ):
        list(over(die, range(4)))


def test_error_comes_through_as_it_is() -> None:
    with (
        pytest.raises(RefrainError, match="0 is not text"),
        parallel_map(RuntimeParams(text_workers=2)) as over,
    ):
        list(over(refuse, range(4)))


def test_scheduler_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.text.workers.CONNECT_SECONDS", 1)
    runtime = RuntimeParams(text_scheduler="tcp://127.0.0.1:9")
    with (
        pytest.raises(TransientError, match=r"^runtime\.text_scheduler: cannot reach tcp://127\.0\.0\.1:9: "),
        parallel_map(runtime),
    ):
        pass
