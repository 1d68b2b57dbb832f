"""Downloads end: also those of a server that never ends, or says nothing. They leave nothing behind."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from pipeline.errors import RefrainError, TransientError
from pipeline.text import download
from pipeline.text.catalog import fetch_text
from tests.security.test_texts import MEGABYTE, count
from tests.support.corpus import read_text
from tests.support.project import ROOT

pytestmark = pytest.mark.usefixtures("_nothing_waits")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def rude() -> Iterator[str]:
    """A server that never ends (/endless), says nothing (/silent) or leads to a local file (/file)."""
    done = threading.Event()

    class Rude(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/silent"):
                done.wait(60)
                return
            self.send_response(302 if self.path.startswith("/file") else 200)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            try:
                while self.path.startswith("/endless") and not done.is_set():
                    self.wfile.write(MEGABYTE)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Rude)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    done.set()
    server.shutdown()
    server.server_close()


def test_an_endless_url_is_one_line_and_leaves_nothing(rude: str, temporary: Path) -> None:
    for name in ("endless", "endless.gz", "endless.zip"):
        with pytest.raises(
            RefrainError, match=r"endless.* larger than runtime\.max_text_bytes, 3,000,000 bytes"
        ):
            count(f"{rude}/{name}", 3_000_000)
        assert list(temporary.iterdir()) == []


def test_a_download_leaves_half_of_the_free_space(
    rude: str, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disk:
        f_bavail, f_frsize = 4, 1_000_000

    monkeypatch.setattr(os, "fstatvfs", lambda _: Disk)
    with pytest.raises(RefrainError, match=f"more than half of the free space in {temporary}: make room"):
        read_text(f"{rude}/endless")


def test_a_killed_download_leaves_nothing(rude: str, temporary: Path) -> None:
    program = f"from tests.support.corpus import read_text; read_text('{rude}/endless')"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    while not psutil.Process(process.pid).io_counters().write_bytes > 10 * len(MEGABYTE):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("temporary")
def test_a_server_that_says_nothing_is_an_error(rude: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SILENCE_SECONDS", 0.2)
    with pytest.raises(TransientError, match=r"there is no connection \(.*timed out"):
        read_text(f"{rude}/silent")


@pytest.mark.usefixtures("temporary")
def test_a_server_cannot_lead_to_a_local_file(rude: str) -> None:
    with pytest.raises(TransientError, match="the server refuses it"):
        read_text(f"{rude}/file")


@pytest.mark.parametrize("place", ["endless", "silent", "file"])
def test_fetching_ends_too(rude: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/catalog.yaml").write_text(
        f"song:\n  url: {rude}/{place}\n  file: a.txt\n  sha256: null\n  normalize: none\n  licence: CC0\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REFRAIN_CORPORA", raising=False)
    monkeypatch.setattr(download, "SILENCE_SECONDS", 0.2)
    with pytest.raises(RefrainError, match=r"runtime\.max_text_bytes|download failed"):
        fetch_text("song", tmp_path / "raw", max_bytes=3_000_000)
    assert list((tmp_path / "raw").iterdir()) == []
