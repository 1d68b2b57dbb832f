"""Fixtures for all tests. Nothing here or in a test touches the user's home."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from tests.support.answers import Pair, copy_pair, make_pair
from tests.support.project import Project

# Jobs that a shell runs in the background ignore SIGINT. Prefect's worker would then never end.
signal.signal(signal.SIGINT, signal.default_int_handler)

# As every stage has it, before PyTorch's first operation, which chooses the vector width.
os.environ["ATEN_CPU_CAPABILITY"] = "avx2"

# The same examples in every run, and no limit on the time of one: this machine may be busy.
settings.register_profile("refrain", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("refrain")


@pytest.fixture(scope="session", autouse=True)
def _away_from_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home, a git identity and caches of the tests' own; no analytics; the environment's programs."""
    home = tmp_path_factory.mktemp("home")
    variables = {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
        "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc-global"),
        "DVC_SYSTEM_CONFIG_DIR": str(home / "dvc-system"),
        "DVC_NO_ANALYTICS": "1",
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(home / "prefect"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Test",
        "GIT_AUTHOR_EMAIL": "test@example.org",
        "GIT_COMMITTER_NAME": "Test",
        "GIT_COMMITTER_EMAIL": "test@example.org",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # two tests run side by side


@pytest.fixture
def corpora() -> Path:
    """The folder of the real texts; tests that need it skip without it."""
    folder = os.environ.get("REFRAIN_CORPORA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("REFRAIN_CORPORA does not name a folder with the catalogue's texts")
    return Path(folder).resolve()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server on loopback, with a bucket; credentials are in the environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("texts")
    yield "s3://texts"
    server.kill()
    server.wait()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on loopback: its address, and the folder it serves."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def send_head(self) -> object:
            status = folder / "status"  # a file that says how to refuse
            if status.exists():
                return self.send_error(int(status.read_text()))
            return super().send_head()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A project after `dvc repro`, results committed. Tests leave it as it is."""
    folder = tmp_path_factory.mktemp("finished")
    if worker_id == "master":
        return make_finished(folder)
    shared = tmp_path_factory.getbasetemp().parent / "finished"  # made once for all workers
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            part = shared.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            make_finished(part)
            part.rename(shared)
    return Project(folder, copy_of=shared)


def make_finished(folder: Path) -> Project:
    project = Project(folder)
    project.run("dvc", "repro")
    project.commit("results")
    return project


@pytest.fixture
def again(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, to be changed."""
    return Project(tmp_path / "again", copy_of=finished)


@pytest.fixture(scope="session")
def made_pair(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pair` copies."""
    return make_pair(tmp_path_factory.mktemp("pair"), finished)


@pytest.fixture
def pair(made_pair: Path, tmp_path: Path) -> Pair:
    """A project that has sent a stage, and the clone that answers, to be changed."""
    return copy_pair(made_pair, tmp_path)


@pytest.fixture
def new_project(tmp_path: Path) -> Callable[[str], Project]:
    """Makes projects by name."""

    def make(name: str = "project") -> Project:
        (tmp_path / name).mkdir()
        return Project(tmp_path / name)

    return make


@pytest.fixture
def project(new_project: Callable[[str], Project]) -> Project:
    return new_project("project")
