"""A project of its own in a temporary folder: a git and DVC repository with this project's code."""

import hashlib
import json
import shutil
import subprocess
import time
from pathlib import Path

from safetensors import safe_open

ROOT = Path(__file__).parents[2]

PARAMS = """
seed: 1
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
  evaluate_every: 20
  precision: highest
  implementation: auto
  sample: {every: 30, prefixes: [分开], length: 10}
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
report:
  licences: {data/raw/lyrics.txt: cc0-1.0}
runtime:
  device: cpu
  threads: 1
  checkpoint_seconds: 0.2
gate: {max_regression: 0.01}
"""
"""Small enough that the whole pipeline takes seconds."""


class Project:
    """A git and DVC repository of its own, holding this project's code."""

    def __init__(
        self, folder: Path, copy_of: "Project | Path | None" = None, clone_of: "Project | str | None" = None
    ) -> None:
        self.folder = folder
        if copy_of:
            source = copy_of.folder if isinstance(copy_of, Project) else copy_of
            shutil.copytree(source, folder, dirs_exist_ok=True)
            return
        if clone_of:
            source = clone_of.folder if isinstance(clone_of, Project) else clone_of
            subprocess.run(["git", "clone", "-q", source, folder], check=True)
            return
        for package in ("pipeline", "flows"):
            shutil.copytree(ROOT / package, folder / package)
        for name in (
            "dvc.yaml",
            "constraints.txt",
            "prefect.yaml",
            "pyproject.toml",
            ".dvcignore",
            ".gitattributes",
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
        """SHA-256 of the artifacts whose paths hold ``part``."""
        folders = [self.folder / name for name in ("data", "models", "reports")]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        names = {str(path.relative_to(self.folder)): path for path in files}
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in sorted(names.items())
            if part in name and not any(other in name for other in ("timings", "gitignore", "changes.html"))
        }


LONG_TRAINING = [
    ("epochs: 4", "epochs: 120"),
    ("sample: {every: 30", "sample: {every: 750"),
    ("evaluate_every: 20", "evaluate_every: 450"),
]
"""Edits of PARAMS after which a training takes long enough to be stopped in the middle, and then ends."""

ENDLESS_TRAINING = [("epochs: 4", "epochs: 100000"), *LONG_TRAINING[1:]]
"""Edits of PARAMS after which a training goes on until it is stopped."""


def wait_for_checkpoint(
    project: Project, since: float = 0.0, process: "subprocess.Popen[str] | None" = None
) -> float:
    """Wait for a checkpoint of the GRU written after time ``since``, and return its own."""
    path = project.folder / ".checkpoints/gru.safetensors"
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_mtime > since):
        assert process is None or process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no checkpoint in a minute"
        time.sleep(0.01)
    return path.stat().st_mtime


def stored_epoch(project: Project) -> int:
    """The epoch that the GRU's checkpoint is in."""
    with safe_open(project.folder / ".checkpoints/gru.safetensors", framework="pt") as file:
        return int(json.loads(file.metadata()["refrain"])["values"]["totals.epoch"])
