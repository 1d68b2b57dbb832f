"""Fixtures for all tests. Nothing here or in a test touches the user's home."""

import hashlib
import os
import shutil
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
from hypothesis import settings

# The same examples in every run, and no limit on the time of one: this machine may be busy.
settings.register_profile("refrain", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("refrain")

ROOT = Path(__file__).parent.parent


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


PARAMS = """
seed: 1
device: cpu
threads: 1
checkpoint_seconds: 0.2
corpus:
  path: data/raw/lyrics.txt
  files: null
  normalize: lyrics
  max_chars: 3000
  split: {train: 0.8, valid: 0.1, test: 0.1}
vocab: {unk: true, min_count: 1}
train:
  sampling: consecutive
  batch_size: 8
  num_steps: 20
  epochs: 4
  optimizer: adam
  learning_rate: 0.01
  weight_decay: 0.0
  schedule: cosine
  warmup_steps: 3
  clip: 1.0
  keep: last
  patience: null
  evaluate_every: 2
  precision: highest
  implementation: auto
  sample: {every: 2, prefixes: [分开], length: 10}
models:
  rnn: {cell: rnn, hidden_size: 16, num_layers: 1}
  gru: {cell: gru, hidden_size: 16, num_layers: 2, dropout: 0.2}
generate:
  prefixes: [分开, 不分开]
  length: 20
  allow_unk: true
  decoding:
    - {temperature: 0.0}
    - {temperature: 0.8, top_k: 50, top_p: 0.9}
gate: {max_regression: 0.01}
"""
"""Small enough that the whole pipeline takes seconds."""


class Project:
    """A git and DVC repository of its own, holding this project's code."""

    def __init__(self, folder: Path, copy_of: "Project | None" = None) -> None:
        self.folder = folder
        if copy_of:
            shutil.copytree(copy_of.folder, folder, dirs_exist_ok=True)
            return
        for package in ("pipeline", "flows"):
            shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        for name in (
            "dvc.yaml",
            "prefect.yaml",
            "pyproject.toml",
            ".dvcignore",
            ".gitignore",
            "data/catalog.yaml",
            "data/raw/lyrics.txt",
            "data/raw/.gitignore",
            ".dvc/config",
            ".dvc/.gitignore",
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
        self.run("git", "init", "-q", "-b", "main")
        self.commit("start")

    def run(
        self, *command: str, check: bool = True, **settings: object
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in the project's folder."""
        result = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, **settings
        )  # type: ignore[call-overload]
        if check and result.returncode:
            raise AssertionError(f"{command}: {result.stdout}\n{result.stderr}")
        return result

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def stage(self, name: str, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a stage's program without DVC."""
        return self.run("python", "-m", f"pipeline.stages.{name}", *arguments, check=check)

    def edit(self, old: str, new: str, file: str = "params.yaml") -> None:
        """Replace a text that a file holds once."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", message)

    def hashes(self, part: str = "") -> dict[str, str]:
        """SHA-256 of all files that stages write, but those of wall times, whose paths hold ``part``."""
        folders = [self.folder / name for name in ("data", "models", "reports")]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        names = {str(path.relative_to(self.folder)): path for path in files}
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in sorted(names.items())
            if part in name and "timings" not in name and "gitignore" not in name
        }


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after `dvc repro`, results committed. Tests leave it as it is."""
    project = Project(tmp_path_factory.mktemp("finished"))
    project.run("dvc", "repro")
    project.commit("results")
    return project


@pytest.fixture
def again(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, to be changed."""
    return Project(tmp_path / "again", copy_of=finished)


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
