"""A project that has sent a stage, and the clone that answers."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.stages.state import commit_state, take_results
from flows.workspace.git import run_git
from pipeline.errors import RefrainError
from tests.support.project import Project

STAGE = "train@gru"
REF = "refs/refrain/1/train-gru"


@dataclass(frozen=True)
class Pair:
    """``other`` has run STAGE on the commit ``sent`` of ``home``, and has pushed its data."""

    home: Project
    other: Project
    sent: str

    def answer(self) -> str:
        """Commit all that is in ``other``, and push it to ``home``: past DVC, which might refuse it."""
        run_git(self.other.folder, "add", "--all")
        run_git(self.other.folder, "commit", "-q", "-m", "an answer")
        return self.push(run_git(self.other.folder, "rev-parse", "HEAD"))

    def push(self, commit: str) -> str:
        run_git(self.other.folder, "push", "-q", "--force", "origin", f"{commit}:{REF}")
        return commit

    def take(self, commit: str) -> None:
        take_results(self.home.folder, STAGE, commit, self.sent)

    def refuses(self, commit: str, message: str) -> None:
        """The answer is refused by one line, and nothing in the project or beside it changes."""
        before = everything(self.home.folder.parent)
        with pytest.raises(RefrainError, match=message) as error:
            self.take(commit)
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 1000
        assert everything(self.home.folder.parent) == before


def everything(folder: Path) -> dict[str, bytes]:
    """All files of a folder, without those that git and DVC change when they look."""
    own = (".git/objects", ".git/index", ".git/refs", ".dvc/tmp", ".dvc/cache")
    paths = [path for path in folder.rglob("*") if not any(name in str(path) for name in own)]
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in paths}


def make_pair(folder: Path, finished: Project) -> Path:
    """A folder with a project, and a clone of it that has trained the larger GRU that was asked for."""
    home = Project(folder / "home", copy_of=finished)
    home.run("dvc", "remote", "add", "--default", "store", "../remote")
    home.commit("remote")
    home.edit("hidden_size: 16, num_layers: 2", "hidden_size: 20, num_layers: 2")
    run_git(home.folder, "update-ref", REF, commit_state(home.folder))
    other = Project(folder / "other", clone_of=home)
    run_git(other.folder, "fetch", "-q", "origin", REF)
    run_git(other.folder, "checkout", "-q", "--detach", "FETCH_HEAD")
    home.run("dvc", "push")
    other.run("dvc", "pull", "build_vocab", "encode_corpus")
    other.run("dvc", "repro", "--single-item", STAGE)
    other.run("dvc", "push", STAGE)
    return folder


def copy_pair(made: Path, folder: Path) -> Pair:
    shutil.copytree(made / "remote", folder / "remote")
    home = Project(folder / "home", copy_of=made / "home")
    other = Project(folder / "other", copy_of=made / "other")
    run_git(other.folder, "remote", "set-url", "origin", str(home.folder))
    return Pair(home, other, run_git(other.folder, "rev-parse", "HEAD"))
