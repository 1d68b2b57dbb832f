"""Which documents a text has, and which of them are held out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.params.corpus import SplitParams
from pipeline.text import corpus, reading
from pipeline.text.corpus import Corpus
from pipeline.text.documents import DocumentScan, PieceDocuments
from pipeline.text.normalize import NORMALIZERS
from pipeline.text.splits import Document, Splits, cut_by_position, split_text
from tests.support.corpus import corpus_params, read_text

SONGS = [f"Song {number}\nline of {number}\nlast of {number}" for number in range(40)]


def by_split(path: Path, **changes: object) -> dict[str, str]:
    """The characters of each split."""
    source = Corpus(corpus_params(path, **changes))
    counts = source.count(source.pieces())
    splits = source.splits(source.placements(source.pieces(), counts), counts)
    text, texts, place = read_text(path, **changes), dict.fromkeys(("train", "valid", "test"), ""), 0
    for name, length in splits.runs(0, len(text)):
        texts[name] += text[place : place + length]
        place += length
    assert place == len(text)
    assert splits.lengths() == {name: len(part) for name, part in texts.items()}
    return texts


def songs_of(text: str) -> set[str]:
    return {number for number in map(str, range(100)) if f"Song {number} " in f"{text} "}


def folder_of(path: Path, names: list[str]) -> Path:
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).write_text(f"<{name}>" * 30, encoding="utf-8")
    return path


def files_of(text: str) -> set[str]:
    return {part.rstrip(">\n") for part in text.split("<") if part.strip()}


def write_songs(path: Path, songs: list[str], between: str = "\n\n") -> Path:
    path.write_text(between.join(songs) + "\n", encoding="utf-8")
    return path


def test_whole_songs_are_held_out(tmp_path: Path) -> None:
    texts = by_split(write_songs(tmp_path / "songs.txt", SONGS), normalize="lyrics")
    found = {name: songs_of(text) for name, text in texts.items()}
    assert set.union(*found.values()) == set(map(str, range(40)))
    assert sum(map(len, found.values())) == 40
    assert all(found.values())
    for number in found["valid"] | found["test"]:
        assert f"last of {number} " not in texts["train"]


def test_held_out_songs_are_spread_over_the_text(tmp_path: Path) -> None:
    path = write_songs(tmp_path / "songs.txt", SONGS)
    held_out = set()
    for seed in range(20):
        texts = by_split(path, normalize="lyrics", split=shares(seed=seed))
        held_out |= songs_of(texts["test"])
    assert len(held_out) > 25


def test_what_was_held_out_stays_held_out_when_songs_are_added_anywhere(tmp_path: Path) -> None:
    before = by_split(write_songs(tmp_path / "songs.txt", SONGS[:30]), normalize="lyrics")
    more = SONGS[30:35] + SONGS[:15] + SONGS[35:] + SONGS[15:30]
    after = by_split(write_songs(tmp_path / "songs.txt", more, between="\n\n \n"), normalize="lyrics")
    assert songs_of(after["test"]) >= songs_of(before["test"])
    assert songs_of(after["valid"]) >= songs_of(before["valid"])
    assert songs_of(after["train"]) >= songs_of(before["train"])


def test_an_edited_song_stays_where_it_was(tmp_path: Path) -> None:
    path = write_songs(tmp_path / "songs.txt", SONGS)
    before = by_split(path, normalize="lyrics")
    write_songs(path, [song.replace("last", "very last") for song in SONGS])
    after = by_split(path, normalize="lyrics")
    assert {name: songs_of(text) for name, text in before.items()} == {
        name: songs_of(text) for name, text in after.items()
    }


def test_files_are_documents_and_stay_where_they_were(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "texts", [f"{number}.txt" for number in range(40)])
    before = {name: files_of(text) for name, text in by_split(folder).items()}
    assert sum(map(len, before.values())) == 40
    folder_of(folder, [f"{number}a.txt" for number in range(0, 40, 3)])
    after = {name: files_of(text) for name, text in by_split(folder).items()}
    assert all(after[name] >= before[name] for name in before)
    moved = folder.rename(tmp_path / "elsewhere")
    assert {name: files_of(text) for name, text in by_split(moved).items()} == after


def test_new_documents_are_shared_out_in_proportion() -> None:
    documents = [Document(10 * number, number) for number in range(2000)]
    splits = split_text(documents, 20_000, SplitParams(**shares()))
    assert splits.documents["valid"] == pytest.approx(200, abs=45)
    assert splits.documents["test"] == pytest.approx(200, abs=45)
    half = split_text(documents[:1000], 10_000, SplitParams(**shares()))
    assert list(half.runs(0, 10_000)) == [*splits.runs(0, 10_000)]


def test_documents_with_the_same_first_line_are_drawn_one_by_one() -> None:
    splits = split_text([Document(10 * n, 7) for n in range(500)], 5000, SplitParams(**shares()))
    assert 20 < splits.documents["test"] < 90


@pytest.mark.parametrize("documents", range(3, 12))
@pytest.mark.parametrize("seed", range(10))
def test_no_split_with_a_share_is_empty(documents: int, seed: int) -> None:
    found = [Document(5 * number, number) for number in range(documents)]
    splits = split_text(found, 5 * documents, SplitParams(**shares(seed=seed)))
    assert all(splits.documents.values())
    assert sum(splits.documents.values()) == documents
    no_valid = SplitParams(train=0.5, valid=0.0, test=0.5, seed=seed)
    assert split_text(found, 5 * documents, no_valid).documents["valid"] == 0


@pytest.mark.parametrize("documents", [1, 2])
def test_few_documents_are_cut_by_position(documents: int, caplog: pytest.LogCaptureFixture) -> None:
    found = [Document(500 * number, number) for number in range(documents)]
    caplog.set_level("INFO")
    splits = split_text(found, 1000, SplitParams(**shares()))
    assert splits == cut_by_position(1000, SplitParams(**shares())) == CUT
    assert "is cut by position" in caplog.text


CUT = Splits(("train", "valid", "test"), (800, 900, 1000), {})


def test_the_position_alone_counts_if_params_say_so() -> None:
    found = [Document(10 * number, number) for number in range(100)]
    assert split_text(found, 1000, SplitParams(**shares(by="position"))) == CUT


def shares(**changes: object) -> dict[str, object]:
    return {"train": 0.8, "valid": 0.1, "test": 0.1} | changes


LINES = st.lists(st.sampled_from(["a", "b c", "", " ", "\u3000", "d"]), max_size=30)


@given(lines=LINES, breaks=st.sampled_from(["\n", "\r\n", "\r"]), size=st.integers(1, 7))
def test_songs_do_not_depend_on_chunks(lines: list[str], breaks: str, size: int) -> None:
    text = breaks.join(lines)

    def scan(chunks: list[str]) -> tuple[str, PieceDocuments]:
        found = DocumentScan(has_songs=True)
        found.begin_file("x")
        normalized = "".join(found.normalized(NORMALIZERS["lyrics"].apply, chunks))
        return normalized, found.documents()

    cut = [text[start : start + size] for start in range(0, len(text), size)]
    normalized, documents = scan(cut)
    assert (normalized, documents) == scan([text] if text else [])
    lines_of_songs = [
        place
        for place, line in enumerate(lines)
        if line.strip() and not any(before.strip() for before in lines[max(place - 1, 0) : place])
    ]
    # A blank line, or the file's start, stands before each song.
    assert len(documents.starts) == len(lines_of_songs)
    for start, place in zip(documents.starts, lines_of_songs, strict=True):
        length = sum(len(line) + 1 for line in lines[:place])
        assert normalized[start:].lstrip().startswith(lines[place].lstrip())
        assert abs(start - length) <= 1


@pytest.mark.parametrize("piece_bytes", [40, 100, 333])
def test_songs_do_not_depend_on_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    path = write_songs(tmp_path / "songs.txt", SONGS)
    whole = by_split(path, normalize="lyrics")
    monkeypatch.setattr(corpus, "PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(reading, "CHUNK_BYTES", 16)
    assert len(Corpus(corpus_params(path)).pieces()) > 3
    assert by_split(path, normalize="lyrics") == whole


@pytest.mark.parametrize(
    ("characters", "split", "lengths"),
    [
        (1000, (0.9, 0.05, 0.05), (900, 50, 50)),
        (10, (1.0, 0.0, 0.0), (10, 0, 0)),
        (7, (0.5, 0.5, 0.0), (4, 3, 0)),
        (3, (0.8, 0.0, 0.2), (2, 0, 1)),
        (1_115_394, (0.9, 0.1, 0.0), (1_003_855, 111_539, 0)),
    ],
)
def test_a_text_is_cut_by_position(
    characters: int, split: tuple[float, float, float], lengths: tuple[int, int, int]
) -> None:
    fractions = dict(zip(("train", "valid", "test"), split, strict=True))
    splits = cut_by_position(characters, SplitParams(**fractions))
    assert splits.lengths() == dict(zip(("train", "valid", "test"), lengths, strict=True))
    assert [name for name, _ in splits.runs(0, characters)] == [
        name for name, length in splits.lengths().items() if length
    ]
