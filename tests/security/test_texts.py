"""Texts that have no end, or are no files, are refused in one line; what is left out is not looked at."""

import bz2
import gzip
import lzma
import os
import shutil
import socket
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import RefrainError
from pipeline.text import corpus, opening
from pipeline.text.corpus import Corpus
from tests.support.corpus import corpus_params, placements_of, read_text
from tests.support.project import ROOT, Project

LINE = b"abc\n"
MEGABYTE = LINE * (1 << 18)


pytestmark = pytest.mark.usefixtures("_nothing_waits")


def count(path: object, max_bytes: int) -> None:
    text = Corpus(corpus_params(path), max_bytes)
    text.count(text.pieces())


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    socket.socket(socket.AF_UNIX).bind(path.name)
    os.chdir(here)


def make_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_link_to_fifo(path: Path) -> None:
    os.mkfifo(path.parent / ".fifo")
    path.symlink_to(".fifo")


SPECIAL = [make_fifo, make_socket, make_link, make_link_to_fifo]


@pytest.mark.parametrize("make", SPECIAL)
@pytest.mark.parametrize("name", ["a.txt", "a.gz", "a.zip"])
def test_only_regular_files_are_opened(tmp_path: Path, make: Callable[[Path], None], name: str) -> None:
    make(tmp_path / name)
    places = [tmp_path / name] if name.endswith("zip") else [tmp_path / name, tmp_path]
    for place in places:
        with pytest.raises(RefrainError, match=r"a\.\w+ is no regular file: move it away, or leave it out"):
            read_text(place)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "/dev/tty"])
def test_devices_are_no_texts(path: str) -> None:
    with pytest.raises(RefrainError, match=r"is no regular file|does not exist|cannot be read"):
        read_text(path)


@pytest.mark.parametrize("make", [*SPECIAL, lambda path: path.symlink_to("nowhere")])
def test_files_that_are_left_out_are_not_looked_at(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "other")
    (tmp_path / "a.txt").write_bytes(LINE)
    assert read_text(tmp_path, files="*.txt") == "abc\n"


def test_folders_that_are_left_out_need_no_permission(tmp_path: Path) -> None:
    for name in ("songs", "songs/private"):
        (tmp_path / name).mkdir()
    (tmp_path / "songs/a.txt").write_bytes(LINE)
    (tmp_path / "songs/b.secret").write_bytes(LINE)
    (tmp_path / "songs/b.secret").chmod(0)
    (tmp_path / "songs/private").chmod(0)
    program = """
import sys
from pathlib import Path
from pipeline.dvc_files import check_dependency
from pipeline.text.files import find_files
folder = sys.argv[1]
for pattern in ("*.txt", "a.*", "b.*"):
    try:
        print([file.open().read() for file in find_files(folder, pattern)])
    except Exception as error:
        print(error)
Path(folder, "private").rmdir()
print(*[file.name for file in find_files(folder, "*.txt")])
check_dependency(Path(), folder)
"""
    command = [*without_privileges(), sys.executable, "-c", program, str(tmp_path / "songs")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    unsure, left_out, chosen, alone = result.stdout.splitlines()
    assert "songs/private" in unsure, "it may contain such files"
    assert left_out == f"[{LINE!r}]"
    assert "Permission denied" in chosen
    assert alone.endswith("songs/a.txt")
    assert "b.secret cannot be read (Permission denied), and DVC reads all of" in result.stderr


def without_privileges() -> list[str]:
    """A command before which root is refused what it is not permitted, as other users are."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may read everything, and setpriv is not installed")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


def bomb(folder: Path, name: str, megabytes: int) -> Path:
    """A small file that decompresses to a large one."""
    path = folder / name
    openers: dict[str, Callable[..., object]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.txt", MEGABYTE * megabytes)
        return path
    with openers[path.suffix](path, "wb") as stream:  # type: ignore[attr-defined]
        for _ in range(megabytes):
            stream.write(MEGABYTE)
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.gz", "a.bz2", "a.xz"])
def test_a_bomb_is_read_only_as_far_as_it_is_needed(tmp_path: Path, name: str) -> None:
    path = bomb(tmp_path, name, 2)
    text = Corpus(corpus_params(path, max_chars=1000), 1_500_000)
    (count,) = text.count(text.pieces())
    assert (count.characters, count.unpacked) == (1000, 1 << 20), "a megabyte at a time"
    assert "".join(text.read()) == MEGABYTE[:1000].decode()


@pytest.mark.parametrize("name", ["a.zip", "a.gz", "a.bz2", "a.xz"])
def test_a_bomb_is_one_line(tmp_path: Path, name: str) -> None:
    path = bomb(tmp_path, name, 2)
    with pytest.raises(RefrainError, match=r"larger than runtime\.max_text_bytes, 1,500,000 bytes"):
        count(path, 1_500_000)


def test_many_small_bombs_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        bomb(tmp_path, f"{number}.gz", 1)
    for piece_bytes in (1 << 25, 1):  # gathered in one piece, or each a piece of its own
        monkeypatch.setattr(corpus, "PIECE_BYTES", piece_bytes)
        text = Corpus(corpus_params(tmp_path), 1_500_000)
        with pytest.raises(RefrainError, match=r"larger than runtime\.max_text_bytes"):
            text.count(text.pieces())


def test_plain_files_may_be_larger(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(MEGABYTE)
    text = Corpus(corpus_params(tmp_path / "a.txt"), 1000)
    assert text.count(text.pieces())[0].characters == len(MEGABYTE)


def test_pieces_after_max_chars_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "PIECE_BYTES", 100)
    (tmp_path / "a.txt").write_bytes(LINE * 100 + b"\xff" * 1000)
    text = Corpus(corpus_params(tmp_path / "a.txt", max_chars=150))
    assert "".join(text.read()) == (LINE * 100)[:150].decode()
    assert [placement.stop for placement in placements_of(text)] == [104, 150]


def test_odd_archives_are_read_or_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("../up.txt", "/etc/absolute.txt", "twice.txt", "twice.txt"):
            archive.writestr(name, f"{name}\n")
    assert read_text(path, files="twice.txt") == "twice.txt\n"
    assert read_text(path, files="*absolute.txt") == "/etc/absolute.txt\n"
    assert not (tmp_path.parent / "up.txt").exists()
    content = path.read_bytes().replace(b"twice.txt\n", b"thrice.xt\n")
    path.write_bytes(content)
    opening.open_archive.cache_clear()
    with pytest.raises(RefrainError, match=r"damaged archive \(Bad CRC-32"):
        read_text(path, files="twice.txt")


def test_pieces_that_were_read_too_soon_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "PIECE_BYTES", 2000)
    (tmp_path / "a.txt").write_bytes("分开 不分开\n".encode() * 1000)
    text = Corpus(corpus_params(tmp_path / "a.txt", max_chars=1500))
    counts = text.count(text.pieces(), lambda function, pieces: [function(piece) for piece in pieces])
    assert len(counts) < len(text.pieces())
    assert text.placements(text.pieces()[: len(counts)], counts) == placements_of(text)


@pytest.mark.slow
def test_a_vocabulary_has_its_bound(project: Project) -> None:
    project.edit("checkpoint_seconds: 0.2", "checkpoint_seconds: 0.2\n  max_vocab_size: 100")
    result = project.stage("build_vocab", check=False)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "more than runtime.max_vocab_size, 100: raise vocab.min_count" in line
