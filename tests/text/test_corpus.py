import gzip
import hashlib
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RefrainError
from pipeline.text import corpus, reading
from pipeline.text.corpus import Corpus
from pipeline.text.normalize import NORMALIZERS
from tests.support.corpus import corpus_params, placements_of, read_text


def test_plain_file_with_and_without_bom(tmp_path: Path) -> None:
    for name, start in (("plain.txt", b""), ("bom.txt", b"\xef\xbb\xbf")):
        (tmp_path / name).write_bytes(start + "分开\n".encode())
        assert read_text(tmp_path / name) == "分开\n"


def test_bom_inside_a_text_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a\ufeffb", encoding="utf-8")
    assert read_text(tmp_path / "a.txt") == "a\ufeffb"


def test_characters_cut_by_chunks_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK_BYTES", 5)
    text = "分开 😀 naïve\r\n不分开" * 3
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_text(tmp_path / "a.txt") == text


@pytest.mark.parametrize("offset", [0, 4, 5, 11, 30])
def test_undecodable_byte_is_reported_with_file_and_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    monkeypatch.setattr(reading, "CHUNK_BYTES", 5)
    (tmp_path / "bad.txt").write_bytes(b"x" * offset + b"\xff" + b"y" * 9)
    with pytest.raises(RefrainError, match=rf"bad\.txt: byte 0xff at offset {offset} is not UTF-8"):
        read_text(tmp_path / "bad.txt")


def test_character_cut_off_at_the_end_is_reported(tmp_path: Path) -> None:
    (tmp_path / "cut.txt").write_bytes(b"abc" + "分".encode()[:2])
    with pytest.raises(RefrainError, match="offset 3 is not UTF-8"):
        read_text(tmp_path / "cut.txt")


def test_folder_is_read_in_order_of_names_with_a_line_break_between_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.txt").write_text("two", encoding="utf-8")
    (tmp_path / "a.txt").write_text("one", encoding="utf-8")
    (tmp_path / "c.md").write_text("notes\n", encoding="utf-8")
    (tmp_path / ".hidden.txt").write_text("no", encoding="utf-8")
    assert read_text(tmp_path) == "one\ntwo\nnotes\n"
    assert read_text(tmp_path, files="*.txt") == "one\ntwo"
    with pytest.raises(RefrainError, match=r"no file in it matches '\*\.csv'"):
        read_text(tmp_path, files="*.csv")


def test_member_of_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "songs.zip", "w") as archive:
        archive.writestr("x/one.txt", "一")
        archive.writestr("x/two.txt", "二")
    assert read_text(tmp_path / "songs.zip", files="x/two.txt") == "二"
    assert read_text(tmp_path / "songs.zip") == "一\n二"


def test_encrypted_member_is_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one.txt", "x")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + flags] |= 1  # the bit that says: encrypted
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(RefrainError, match=r"one\.txt: cannot be read: .*encrypted"):
        read_text(tmp_path / "a.zip")


def test_archive_inside_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    (tmp_path / "b.ZIP").write_bytes(b"")
    with pytest.raises(RefrainError, match=r"b\.ZIP is an archive inside a folder"):
        read_text(tmp_path)
    assert read_text(tmp_path, files="*.txt") == "x"


def test_two_stars_stand_for_any_folders_also_for_none(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / ".git").mkdir()
    for name in ("1.txt", "b/2.txt", "b/c/3.txt", "b/.git/no.txt"):
        (tmp_path / name).write_text(name[-5], encoding="utf-8")
    assert read_text(tmp_path, files="**/*.txt") == "1\n2\n3"


def test_compressed_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("分开".encode()))
    assert read_text(tmp_path / "a.txt.gz") == "分开"


def test_damaged_archives_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" * 1000)[:-20])
    (tmp_path / "b.gz").write_bytes(b"not gzip")
    (tmp_path / "c.zip").write_bytes(b"PK not zip")
    for name in ("a.gz", "b.gz", "c.zip"):
        with pytest.raises(RefrainError, match=name) as caught:
            read_text(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_max_chars_cuts_after_normalising(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1234 ab, cd 5 ef", encoding="utf-8")
    assert read_text(tmp_path / "a.txt", normalize="letters", max_chars=4) == "ab c"


def test_placements_count_normalised_characters_and_hash_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("12 ab\n", encoding="utf-8")
    (placement,) = placements_of(Corpus(corpus_params(tmp_path / "a.txt", normalize="letters", max_chars=1)))
    assert (placement.separator, placement.start, placement.stop) == (
        "",
        0,
        1,
    )  # and the hash is of what lies after the cut, too
    assert placement.sha256 == hashlib.sha256((tmp_path / "a.txt").read_bytes()).hexdigest()


FILES = st.lists(st.text(st.sampled_from("aΣé分😀 .\r\n"), max_size=40), min_size=1, max_size=4)


@given(FILES, st.sampled_from(["none", "lyrics", "letters"]), st.integers(10, 30), st.integers(4, 9))
def test_text_is_the_same_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], normalize: str, piece: int, search: int
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        if not any(is_text(text, normalize) for text in texts):
            return
        whole = read_text(folder, normalize=normalize)
        patch.setattr(corpus, "PIECE_BYTES", piece)
        patch.setattr(corpus, "SEARCH_BYTES", search)
        cut = Corpus(corpus_params(folder, normalize=normalize))
        assert "".join(cut.read()) == whole
        edges = placements_of(cut)
    assert [placement.start for placement in edges] == [0, *(placement.stop for placement in edges[:-1])]
    assert edges[-1].stop == len(whole)


def is_text(text: str, normalize: str) -> bool:
    return bool("".join(NORMALIZERS[normalize].apply([text])))


def test_small_files_of_an_archive_are_gathered_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "songs.zip", "w") as archive:
        for number in range(40):
            archive.writestr(f"{number:02}.txt", f"song {number}\n")
    (piece,) = Corpus(corpus_params(tmp_path / "songs.zip")).pieces()
    assert len(piece) == 40


def test_large_files_are_cut_at_line_ends_and_small_ones_gathered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "PIECE_BYTES", 10)
    contents = {"1": b"abc\n", "2": b"d\n", "3": b"12345678\n1234\n789\n", "4": b"0" * 25, "5": b"e"}
    for name, content in contents.items():
        (tmp_path / f"{name}.txt").write_bytes(content)
    pieces = Corpus(corpus_params(tmp_path)).pieces()
    found = [[(Path(part.file.name).stem, part.start, part.stop) for part in piece] for piece in pieces]
    assert found == [
        [("1", 0, None), ("2", 0, None)],
        [("3", 0, 14)],
        [("3", 14, 18)],
        [("4", 0, 10)],
        [("4", 10, 20)],
        [("4", 20, 25)],
        [("5", 0, None)],
    ]


@pytest.mark.parametrize("content", ["", "123 ..."])
def test_no_text_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content, encoding="utf-8")
    with pytest.raises(RefrainError, match="no text is left"):
        placements_of(Corpus(corpus_params(tmp_path / "a.txt", normalize="letters")))


def test_absent_path_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RefrainError, match="does not exist"):
        read_text(tmp_path / "none.txt")


def test_pattern_on_a_single_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    with pytest.raises(RefrainError, match=r"set corpus\.files to null"):
        read_text(tmp_path / "a.txt", files="*.txt")


def test_a_process_that_lives_on_reads_a_changed_archive_anew(tmp_path: Path) -> None:
    path = tmp_path / "songs.zip"
    for text in ("first", "second"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("song.txt", text)
        assert read_text(path) == text
