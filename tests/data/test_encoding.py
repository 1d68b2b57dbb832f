import shutil
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data import encoding
from pipeline.data.encoded import EncodedText
from pipeline.data.encoding import encode_piece, id_type, plan_shards
from pipeline.errors import RefrainError
from pipeline.text import corpus
from pipeline.text.corpus import Corpus
from pipeline.text.vocab import VocabFile, count_chars, vocab_from_counts
from tests.support.corpus import corpus_params, read_text

TEXT = "分开以后 不分开以前\n" * 20
SPLITS = ("train", "valid", "test")


def encode(path: Path, folder: Path, sha256: str = "v", **changes: Any) -> VocabFile:
    """Encode a file the way the stages do; its vocabulary."""
    source = Corpus(corpus_params(path, **changes))
    pieces = source.pieces()
    counts = source.count(pieces)
    placements = source.placements(pieces, counts)
    vocab = vocab_from_counts(count_chars(source.read()), unk=False, min_count=1)
    stored = VocabFile(vocab, sha256, tuple(placements), source.splits(placements, counts))
    planned = plan_shards(pieces, stored)
    assert all(map(partial(encode_piece, source.params, stored, folder), planned))
    return stored


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def decode(folder: Path, stored: VocabFile) -> list[str]:
    """The texts of the splits that are not empty."""
    names = [name for name in SPLITS if (folder / name).exists()]
    return [stored.vocab.decode(EncodedText(folder, name, stored)[:].tolist()) for name in names]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces, shards and row groups of a few characters."""
    monkeypatch.setattr(corpus, "PIECE_BYTES", 200)
    monkeypatch.setattr(encoding, "SHARD_ROWS", 48)
    monkeypatch.setattr(encoding, "GROUP_ROWS", 16)


@pytest.mark.usefixtures("small")
def test_splits_decode_back_to_the_text(tmp_path: Path) -> None:
    stored = encode(write(tmp_path / "a.txt", TEXT), tmp_path / "encoded")
    parts = decode(tmp_path / "encoded", stored)
    assert "".join(parts) == TEXT
    assert [len(part) for part in parts] == [176, 22, 22]


@pytest.mark.usefixtures("small")
def test_songs_go_to_their_splits_in_turn(tmp_path: Path) -> None:
    songs = [f"第{number}首\n{'分开' * (number % 7 + 1)}" for number in range(40)]
    path = write(tmp_path / "songs.txt", "\n\n".join(songs))
    stored = encode(path, tmp_path / "encoded", normalize="lyrics")
    text, place = read_text(path, normalize="lyrics"), 0
    expected = dict.fromkeys(SPLITS, "")
    for name, length in stored.splits.runs(0, len(text)):
        expected[name] += text[place : place + length]
        place += length
    assert decode(tmp_path / "encoded", stored) == list(expected.values())
    assert len(stored.splits.names) > 8, "the splits take turns"
    assert len(list((tmp_path / "encoded/train").iterdir())) > 3


@pytest.mark.usefixtures("small")
def test_a_splits_digest_is_that_of_its_text(tmp_path: Path) -> None:
    """Whatever the vocabulary: characters that it lacks count as they are."""
    digests = []
    for number, text in enumerate((TEXT, TEXT.replace("前", "新"), TEXT)):
        folder = tmp_path / str(number)
        stored = encode(write(tmp_path / f"{number}.txt", text), folder)
        digests.append([EncodedText(folder, name, stored).sha256 for name in SPLITS])
    assert digests[0] == digests[2]
    assert not set(digests[0]) & set(digests[1])


@pytest.mark.usefixtures("small")
def test_shards_and_row_groups_are_bounded(tmp_path: Path) -> None:
    stored = encode(write(tmp_path / "a.txt", TEXT), tmp_path / "encoded")
    shards = sorted((tmp_path / "encoded" / "train").iterdir())
    assert [shard.name for shard in shards] == [f"part-{i:05d}.parquet" for i in range(len(shards))]
    assert len(shards) > 3
    for shard in shards:
        file = pq.ParquetFile(shard)
        assert file.metadata.num_rows <= 48
        assert all(file.metadata.row_group(i).num_rows <= 16 for i in range(file.num_row_groups))
    assert len(stored.placements) == 3


@given(data=st.data())
@pytest.mark.usefixtures("small")
def test_any_stretch_of_a_split_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("encoded")
    stored = encode(write(folder / "a.txt", TEXT), folder, split={"train": 1.0, "valid": 0.0, "test": 0.0})
    text = EncodedText(folder, "train", stored)
    assert len(text) == len(TEXT)
    low = data.draw(st.integers(0, len(TEXT)))
    high = data.draw(st.integers(low, len(TEXT)))
    assert stored.vocab.decode(text[low:high].tolist()) == TEXT[low:high]
    assert text[low:high].dtype == np.int64
    size = data.draw(st.integers(1, len(TEXT)))
    assert np.array_equal(np.concatenate(list(text.chunks(size))), text[:])


def test_ids_take_two_bytes_up_to_65536_characters() -> None:
    assert str(id_type(65_536)) == "uint16"
    assert str(id_type(65_537)) == "uint32"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("new", ["后", "新"])
def test_a_piece_that_changed_since_it_was_counted_is_noticed(tmp_path: Path, new: str) -> None:
    """Also where the change is a character that the vocabulary lacks."""
    path = write(tmp_path / "a.txt", TEXT)
    stored = encode(path, tmp_path / "encoded")
    write(path, TEXT.replace("前", new))
    source = Corpus(corpus_params(path))
    planned = plan_shards(source.pieces(), stored)
    assert not any(encode_piece(source.params, stored, tmp_path / "again", shards) for shards in planned)


@pytest.mark.usefixtures("small")
def test_damage_is_noticed(tmp_path: Path) -> None:
    stored = encode(write(tmp_path / "a.txt", TEXT), tmp_path / "good")
    first, second = Path("train/part-00000.parquet"), Path("train/part-00001.parquet")

    def damaged(name: str) -> Path:
        return Path(shutil.copytree(tmp_path / "good", tmp_path / name))

    with pytest.raises(RefrainError, match="another vocabulary"):
        EncodedText(tmp_path / "good", "train", replace(stored, sha256="other"))
    folder = damaged("missing")
    (folder / first).unlink()
    with pytest.raises(RefrainError, match="is shard 1 of train, in the wrong place"):
        EncodedText(folder, "train", stored)
    folder = damaged("cut off")
    max((folder / "train").iterdir()).unlink()
    with pytest.raises(RefrainError, match=f"does not have all of its {round(len(TEXT) * 0.8)} ids"):
        EncodedText(folder, "train", stored)
    folder = damaged("swapped")
    (folder / first).rename(folder / "other")
    (folder / second).rename(folder / first)
    (folder / "other").rename(folder / second)
    with pytest.raises(RefrainError, match="is shard 1 of train, in the wrong place"):
        EncodedText(folder, "train", stored)
    folder = damaged("truncated")
    (folder / first).write_bytes((folder / first).read_bytes()[:-20])
    with pytest.raises(RefrainError, match=r"part-00000\.parquet is damaged"):
        EncodedText(folder, "train", stored)
    with pytest.raises(RefrainError, match="run `dvc repro encode_corpus`"):
        EncodedText(tmp_path, "train", stored)


def test_every_flipped_bit_of_a_page_is_noticed(tmp_path: Path) -> None:
    text = "ab" * 40
    all_train = {"train": 1.0, "valid": 0.0, "test": 0.0}
    stored = encode(write(tmp_path / "a.txt", text), tmp_path, split=all_train)
    shard = tmp_path / "train" / "part-00000.parquet"
    good = shard.read_bytes()
    column = pq.read_metadata(shard).row_group(0).column(0)
    start = column.data_page_offset
    noticed = 0
    for place in range(start, start + column.total_compressed_size):
        shard.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        try:
            assert stored.vocab.decode(EncodedText(tmp_path, "train", stored)[:].tolist()) == text
        except RefrainError as error:
            noticed += "is damaged" in str(error)
    assert noticed > column.total_compressed_size / 2, "what is left are statistics that nobody reads"


def test_groups_are_read_once_while_they_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = encode(write(tmp_path / "a.txt", TEXT), tmp_path)
    read: list[int] = []

    def read_group(_: EncodedText, group: int) -> object:
        read.append(group)
        return np.zeros(len(TEXT), np.uint16)

    monkeypatch.setattr(EncodedText, "_read_group", read_group)
    text = EncodedText(tmp_path, "train", stored)
    for low, high in pairwise(range(0, 100, 10)):
        text[low:high]
    assert read == [0]
