from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RefrainError
from pipeline.params.corpus import CorpusParams, SplitParams
from pipeline.text.corpus import Corpus
from pipeline.text.splits import Splits
from pipeline.text.vocab import UNK, Placement, Vocab, count_chars, read_vocab, vocab_from_counts, write_vocab

TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


def vocab_of(text: str, unk: bool = False, min_count: int = 1) -> Vocab:
    return vocab_from_counts(count_chars([text]), unk=unk, min_count=min_count)


def test_order_is_falling_count_then_code_point() -> None:
    vocab = vocab_of("ccbbad")
    assert vocab.chars == ("b", "c", "a", "d")
    assert vocab.counts == (2, 2, 1, 1)


def test_unk_comes_first_and_stands_for_rare_characters() -> None:
    vocab = vocab_of("aabbc", unk=True, min_count=2)
    assert vocab.chars == (UNK, "a", "b")
    assert vocab.counts == (1, 2, 2)
    assert vocab.encode("acz").tolist() == [1, 0, 0]
    assert vocab.decode([1, 0]) == "a<unk>"


def test_unknown_characters_are_named() -> None:
    with pytest.raises(RefrainError, match=r"'z' \(U\+007A\), '龘' \(U\+9F98\)"):
        vocab_of("ab").encode("azb龘")


def test_prefix_errors_name_the_characters() -> None:
    with pytest.raises(RefrainError, match=r"prefix 'az'.*'z' \(U\+007A\)"):
        vocab_of("ab").encode_prefix("az", allow_unk=True)
    with pytest.raises(RefrainError, match=r"or set generate\.allow_unk"):
        vocab_of("ab", unk=True).encode_prefix("az", allow_unk=False)
    with pytest.raises(RefrainError, match="empty"):
        vocab_of("ab").encode_prefix("", allow_unk=False)
    assert vocab_of("ab", unk=True).encode_prefix("az", allow_unk=True) == [1, 0]


@given(TEXT, st.booleans())
def test_decodes_back_to_the_same_text(text: str, unk: bool) -> None:
    vocab = vocab_of(text, unk)
    assert vocab.decode(vocab.encode(text)) == text


@given(st.lists(TEXT))
def test_counts_do_not_depend_on_chunks(chunks: list[str]) -> None:
    assert (count_chars(chunks) == count_chars(["".join(chunks)])).all()


def test_empty_vocabulary_is_an_error() -> None:
    with pytest.raises(RefrainError, match="min_count: 3 leaves no character"):
        vocab_from_counts(count_chars(["abba"]), unk=True, min_count=3)


def test_file_round_trip(tmp_path: Path) -> None:
    vocab = vocab_of("分开 不分开\n😀", unk=True)
    placements = (Placement("", 0, 5, "abc"), Placement("\n", 5, 8, "def"))
    splits = Splits(("train", "test", "train"), (3, 5, 8), {"train": 2, "valid": 0, "test": 1})
    write_vocab(tmp_path / "vocab.parquet", vocab, placements, splits)
    stored = read_vocab(tmp_path / "vocab.parquet")
    assert (stored.vocab, stored.placements, stored.splits) == (vocab, placements, splits)
    assert stored.corpus_characters == 8


def test_absent_or_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "vocab.parquet"
    with pytest.raises(RefrainError, match="dvc repro build_vocab"):
        read_vocab(path)
    write_vocab(path, vocab_of("ab"), [Placement("", 0, 2, "abc")], Splits(("train",), (2,), {}))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RefrainError, match="damaged"):
        read_vocab(path)


def corpus(path: Path, normalize: str, max_chars: int | None = None) -> Corpus:
    split = SplitParams(train=1.0, valid=0.0, test=0.0)
    return Corpus(
        CorpusParams.model_validate(
            {"path": str(path), "files": None, "normalize": normalize, "max_chars": max_chars, "split": split}
        )
    )


def test_jaychou_lyrics_have_1027_characters(corpora: Path) -> None:
    text = corpus(corpora / "jaychou_lyrics.txt.zip", "lyrics", 10_000)
    assert len(vocab_from_counts(count_chars(text.read()), unk=False, min_count=1)) == 1027


def test_time_machine_has_28_characters_with_unk(corpora: Path) -> None:
    text = corpus(corpora / "timemachine.txt", "letters")
    assert len(vocab_from_counts(count_chars(text.read()), unk=True, min_count=1)) == 28


def test_tiny_shakespeare_has_65_characters(corpora: Path) -> None:
    text = corpus(corpora / "tinyshakespeare.txt", "none")
    assert sum(map(len, text.read())) == 1_115_394
    assert len(vocab_from_counts(count_chars(text.read()), unk=False, min_count=1)) == 65
