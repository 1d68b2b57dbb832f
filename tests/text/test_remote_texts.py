"""Texts behind a URL: a web server, S3."""

import gzip
import zipfile
from pathlib import Path

import fsspec
import pytest

from pipeline.errors import RefrainError
from tests.support.corpus import read_text


def test_url(web: tuple[str, Path]) -> None:
    address, folder = web
    (folder / "a.txt").write_text("from the web", encoding="utf-8")
    (folder / "b.txt.gz").write_bytes(gzip.compress(b"packed"))
    with zipfile.ZipFile(folder / "c.zip", "w") as archive:
        archive.writestr("one.txt", "zipped")
    assert read_text(f"{address}/a.txt") == "from the web"
    assert read_text(f"{address}/b.txt.gz") == "packed"
    assert read_text(f"{address}/c.zip") == "zipped"
    with pytest.raises(RefrainError, match="does not exist"):
        read_text(f"{address}/none.txt")


@pytest.mark.parametrize("status", [403, 500])
def test_refusing_server_is_one_line(web: tuple[str, Path], status: int) -> None:
    address, folder = web
    (folder / "status").write_text(str(status), encoding="utf-8")
    with pytest.raises(RefrainError, match=r"a\.txt: .*the server refuses it") as caught:
        read_text(f"{address}/a.txt")
    assert "\n" not in str(caught.value)


def test_absent_server_is_one_line() -> None:
    with pytest.raises(RefrainError, match=r"127\.0\.0\.1:9/a\.txt: .*there is no connection"):
        read_text("http://127.0.0.1:9/a.txt")


def test_s3_file_and_folder(s3: str) -> None:
    fs = fsspec.filesystem("s3", skip_instance_cache=True)
    fs.pipe({"texts/songs/1.txt": b"one", "texts/songs/2.txt.gz": gzip.compress(b"two")})
    assert read_text(f"{s3}/songs/1.txt") == "one"
    assert read_text(f"{s3}/songs") == "one\ntwo"
    with pytest.raises(RefrainError, match="does not exist"):
        read_text(f"{s3}/none.txt")
