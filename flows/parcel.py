"""What goes from machine to machine for a placed stage, besides the data, which take DVC's remote.

There: the commit, and all that differs from it. Back: the stage's entry in ``dvc.lock``, and the small
outputs that git keeps.
"""

import tempfile
from pathlib import Path
from typing import Any

from dvc.dvcfile import LOCK_FILE
from dvc.output import Output
from dvc.repo import Repo
from dvc.stage import Stage as DvcStage
from dvc.utils.serialize import load_yaml, modify_yaml
from pydantic import BaseModel, ConfigDict

from flows.dag import find_stage
from flows.git import git
from pipeline.artifacts import write_bytes
from pipeline.errors import RefrainError

RESULTS = "results"
"""Under this key of its inputs a placed stage's flow run leaves its results."""

MOST_BYTES = 32 << 20
"""More than this are not parameters, code and small results, but a text that git should not have."""


class Parcel(BaseModel):
    """JSON, with bytes as base64."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")


class Order(Parcel):
    """A stage to run on the state of a workspace: ``patch`` upon the commit ``revision``."""

    stage: str
    upstream: tuple[str, ...]
    force: bool
    revision: str
    patch: bytes


class Results(Parcel):
    """What a stage left: its entry in ``dvc.lock``, and the files of outputs that DVC does not cache."""

    lock: dict[str, Any]
    files: dict[str, bytes]


def read_workspace(folder: Path) -> tuple[str, bytes]:
    """The commit that a workspace is at, and a patch from it to all that git would commit there.

    Raises :class:`RefrainError` if the patch is too large to be sent.
    """
    with tempfile.TemporaryDirectory() as name, Repo(str(folder), _wait_for_lock=True) as repo, repo.lock:
        patch = Path(name) / "patch"
        # What is added for the patch alone is not to stay.
        objects = git(folder, "rev-parse", "--path-format=absolute", "--git-path", "objects")
        apart = {
            "GIT_INDEX_FILE": str(Path(name) / "index"),
            "GIT_OBJECT_DIRECTORY": str(Path(name) / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects,
        }
        (Path(name) / "objects").mkdir()
        revision = git(folder, "rev-parse", "HEAD")
        git(folder, "read-tree", revision, variables=apart)
        git(folder, "add", "--all", variables=apart)
        git(folder, "diff-index", "--cached", "--binary", f"--output={patch}", revision, variables=apart)
        if patch.stat().st_size > MOST_BYTES:
            raise RefrainError(
                f"pools: the workspace differs from its commit by {patch.stat().st_size >> 20} MB: commit "
                "it, or have git ignore what is large and `dvc add` it if stages read it"
            )
        return revision, patch.read_bytes()


def write_workspace(folder: Path, patch: bytes) -> None:
    """Bring a checkout of the same commit to the state that a patch was made of."""
    if patch:
        with tempfile.NamedTemporaryFile() as file:
            file.write(patch)
            file.flush()
            git(folder, "apply", "--whitespace=nowarn", file.name)


def collect(folder: Path, stage: str) -> Results:
    """The results of a stage that has just run in ``folder``."""
    with Repo(str(folder)) as repo:
        node = find_stage(repo, stage)
        entry = load_yaml(_lock_file(node))["stages"][node.name]
        paths = [Path(out.fs_path) for out in _small_outputs(node)]
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return Results(
        lock=entry,
        files={str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()},
    )


def adopt(folder: Path, stage: str, results: Results) -> None:
    """Take the results of a stage that ran elsewhere; its data then follow by ``dvc pull``."""
    with Repo(str(folder), _wait_for_lock=True) as repo, repo.lock:
        node = find_stage(repo, stage)
        for out in _small_outputs(node):
            out.remove()
        for name, content in results.files.items():
            write_bytes(folder / name, content)
        for out in node.outs:
            Path(out.fs_path).parent.mkdir(parents=True, exist_ok=True)
        node.ignore_outs()
        with modify_yaml(_lock_file(node)) as lock:
            lock.setdefault("schema", "2.0")
            lock.setdefault("stages", {})[node.name] = results.lock


def _small_outputs(node: DvcStage) -> list[Output]:
    return [out for out in node.outs if not out.use_cache]


def _lock_file(node: DvcStage) -> str:
    return str(Path(node.path).with_name(LOCK_FILE))
