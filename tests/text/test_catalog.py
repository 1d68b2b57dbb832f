import hashlib
from pathlib import Path

import pytest

from pipeline.commands import fetch, texts
from pipeline.errors import RefrainError
from pipeline.text.catalog import fetch_text, load_catalog
from tests.support.project import ROOT

TEXT = "分开\n".encode()


@pytest.fixture
def entry(web: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue with one text, `song`, served on loopback; gives the served file."""
    address, folder = web
    (folder / "source.txt").write_bytes(TEXT)
    sha256 = hashlib.sha256(TEXT).hexdigest()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/catalog.yaml").write_text(
        f"song:\n  url: {address}/source.txt\n  file: song.txt\n  sha256: {sha256}\n"
        "  normalize: lyrics\n  licence: CC0\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REFRAIN_CORPORA", raising=False)
    return folder / "source.txt"


def test_the_projects_catalogue() -> None:
    entries = load_catalog(ROOT / "data" / "catalog.yaml")
    assert list(entries) == ["jaychou_lyrics", "time_machine", "tiny_shakespeare"]
    assert all(e.sha256 and e.licence for e in entries.values())


def test_the_catalogues_checksums_are_those_of_the_real_texts(corpora: Path) -> None:
    for name, entry in load_catalog(ROOT / "data" / "catalog.yaml").items():
        local = corpora / entry.file
        assert hashlib.sha256(local.read_bytes()).hexdigest() == entry.sha256, name


def test_downloads_once(entry: Path, tmp_path: Path) -> None:
    path = fetch_text("song", tmp_path / "raw")
    assert path.read_bytes() == TEXT
    entry.unlink()
    assert fetch_text("song", tmp_path / "raw") == path


def test_wrong_checksum_leaves_nothing(entry: Path, tmp_path: Path) -> None:
    entry.write_bytes(b"changed")
    with pytest.raises(RefrainError, match=r"source\.txt: sha256 is [0-9a-f]+, but .* get the file again"):
        fetch_text("song", tmp_path / "raw")
    assert list((tmp_path / "raw").glob("*")) == []


@pytest.mark.usefixtures("entry")
def test_damaged_file_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for length, old in ((2, ".song.txt.old"), (3, ".song.txt.old1")):
        (tmp_path / "raw" / "song.txt").write_bytes(TEXT[:length])
        assert fetch_text("song", tmp_path / "raw").read_bytes() == TEXT
        assert (tmp_path / "raw" / old).read_bytes() == TEXT[:length], "nothing is lost"


def test_a_file_of_the_users_stays_until_another_has_come(entry: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "song.txt").write_bytes(b"the user's own")
    entry.unlink()
    with pytest.raises(RefrainError, match="download failed"):
        fetch_text("song", tmp_path / "raw")
    assert (tmp_path / "raw" / "song.txt").read_bytes() == b"the user's own"


def test_text_without_a_checksum_is_fetched_anew_each_time(entry: Path, tmp_path: Path) -> None:
    catalog_file = tmp_path / "data/catalog.yaml"
    lines = catalog_file.read_text().splitlines()
    catalog_file.write_text("\n".join("  sha256: null" if "sha256" in line else line for line in lines))
    assert fetch_text("song", tmp_path / "raw").read_bytes() == TEXT
    entry.write_bytes(b"new")
    assert fetch_text("song", tmp_path / "raw").read_bytes() == b"new"
    entry.unlink()
    with pytest.raises(RefrainError, match="download failed"):
        fetch_text("song", tmp_path / "raw")
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["song.txt"], "and the old one stays"


def test_failed_download_is_one_line(entry: Path, tmp_path: Path) -> None:
    entry.unlink()
    with pytest.raises(RefrainError, match="download failed: 404") as caught:
        fetch_text("song", tmp_path / "raw")
    assert "\n" not in str(caught.value)


def test_local_copy_is_taken_if_its_checksum_is_right(
    entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry.unlink()
    (tmp_path / "local").mkdir()
    monkeypatch.setenv("REFRAIN_CORPORA", str(tmp_path / "local"))
    (tmp_path / "local" / "song.txt").write_bytes(TEXT)
    assert fetch_text("song", tmp_path / "raw").read_bytes() == TEXT
    (tmp_path / "local" / "song.txt").write_bytes(b"changed")
    (tmp_path / "raw" / "song.txt").unlink()
    with pytest.raises(RefrainError, match="get the file again"):
        fetch_text("song", tmp_path / "raw")


@pytest.mark.usefixtures("entry")
def test_unknown_name_is_an_error_that_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(RefrainError, match="has no text 'songs': choose from song"):
        fetch_text("songs", tmp_path / "raw")


@pytest.mark.usefixtures("entry")
def test_wrong_catalogue_names_the_key(tmp_path: Path) -> None:
    (tmp_path / "data/catalog.yaml").write_text("song: {url: x}")
    with pytest.raises(RefrainError, match=r"song\.file: Field required"):
        load_catalog()


@pytest.mark.usefixtures("entry")
def test_commands_say_what_there_is_and_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    fetch.main("song")
    assert "corpus.normalize: lyrics" in capsys.readouterr().out
    texts.main()
    assert "CC0" in capsys.readouterr().out
