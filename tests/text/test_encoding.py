import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RefrainError
from pipeline.text import encoding
from pipeline.text.encoding import encode_splits, id_type, read_split
from pipeline.text.vocab import VocabFile, build_vocab, count_chars

TEXT = "分开以后 不分开以前 " * 20


def stored(text: str, sha256: str = "v") -> VocabFile:
    return VocabFile(build_vocab(count_chars([text]), unk=False, min_count=1), sha256, "c", len(text))


def bounds(length: int) -> dict[str, range]:
    return {
        "train": range(0, length // 2),
        "valid": range(length // 2, length),
        "test": range(length, length),
    }


@given(st.text(st.characters(codec="utf-8"), min_size=2), st.integers(1, 9))
def test_splits_decode_back_to_the_text(
    tmp_path_factory: pytest.TempPathFactory, text: str, size: int
) -> None:
    folder = tmp_path_factory.mktemp("encoded")
    vocab = stored(text)
    chunks = [text[i : i + size] for i in range(0, len(text), size)]
    rest = encode_splits(chunks, bounds(len(text)), vocab, folder)
    assert list(rest) == []
    ids = [read_split(folder, split, vocab) for split in ("train", "valid", "test")]
    assert vocab.vocab.decode(np.concatenate(ids).tolist()) == text
    assert [len(part) for part in ids] == [len(span) for span in bounds(len(text)).values()]


def test_text_past_the_splits_is_returned(tmp_path: Path) -> None:
    rest = encode_splits(["abc", "def"], {"train": range(0, 4)}, stored("abcdef"), tmp_path)
    assert "".join(rest) == "ef"


def test_shards_and_row_groups_are_bounded_whatever_the_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "GROUP_ROWS", 16)
    monkeypatch.setattr(encoding, "SHARD_ROWS", 64)
    vocab = stored(TEXT)
    for name, size in (("a", 7), ("b", 1000)):
        chunks = [TEXT[i : i + size] for i in range(0, len(TEXT), size)]
        encode_splits(chunks, {"train": range(len(TEXT))}, vocab, tmp_path / name)
    shards = sorted((tmp_path / "a" / "train").iterdir())
    assert [shard.name for shard in shards] == [f"part-{i:05d}.parquet" for i in range(4)]
    for shard in shards:
        file = pq.ParquetFile(shard)
        assert file.metadata.num_rows <= 64
        assert {file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)} <= {
            16,
            len(TEXT) % 16,
        }
        assert shard.read_bytes() == (tmp_path / "b" / "train" / shard.name).read_bytes()
    assert vocab.vocab.decode(read_split(tmp_path / "a", "train", vocab).tolist()) == TEXT


def test_ids_take_two_bytes_up_to_65536_characters() -> None:
    assert str(id_type(65_536)) == "uint16"
    assert str(id_type(65_537)) == "uint32"


def test_damage_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "GROUP_ROWS", 50)
    monkeypatch.setattr(encoding, "SHARD_ROWS", 50)
    vocab = stored(TEXT)
    encode_splits([TEXT], {"train": range(len(TEXT))}, vocab, tmp_path / "good")
    first = Path("train/part-00000.parquet")

    def damaged(name: str) -> Path:
        return Path(shutil.copytree(tmp_path / "good", tmp_path / name))

    with pytest.raises(RefrainError, match="another vocabulary"):
        read_split(tmp_path / "good", "train", stored(TEXT, sha256="other"))
    folder = damaged("missing")
    (folder / first).unlink()
    with pytest.raises(RefrainError, match="is part 1 of train, in the wrong place"):
        read_split(folder, "train", vocab)
    folder = damaged("cut off")
    max((folder / "train").iterdir()).unlink()
    with pytest.raises(RefrainError, match=f"does not hold its {len(TEXT)} ids"):
        read_split(folder, "train", vocab)
    folder = damaged("swapped")
    (folder / first).rename(folder / "other")
    (folder / "train/part-00001.parquet").rename(folder / first)
    (folder / "other").rename(folder / "train/part-00001.parquet")
    with pytest.raises(RefrainError, match="is part 1 of train, in the wrong place"):
        read_split(folder, "train", vocab)
    folder = damaged("truncated")
    (folder / first).write_bytes((folder / first).read_bytes()[:-20])
    with pytest.raises(RefrainError, match=r"part-00000\.parquet is damaged"):
        read_split(folder, "train", vocab)
    with pytest.raises(RefrainError, match="run `dvc repro encode_corpus`"):
        read_split(tmp_path, "train", vocab)
