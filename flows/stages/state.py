"""What the flow sends to another machine for a stage, and what it gets back. Data go over DVC's remote.

The flow sends a commit of all that stages read. It gets back a child of that commit, with the stage's entry
in ``dvc.lock`` and the small outputs that git keeps.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dvc.dvcfile import LOCK_FILE
from dvc.output import Output
from dvc.repo import Repo
from dvc.stage import Stage as DvcStage
from dvc.stage.loader import StageLoader
from ruamel.yaml import YAML

from flows.stages.graph import find_stage
from flows.workspace.dvc_repo import open_repo
from flows.workspace.git import run_git
from flows.workspace.shared_ref import commit_folder, restore_files
from pipeline.errors import RefrainError

DIGEST = re.compile(r"[0-9a-f]{32}(\.dir)?")


def commit_state(folder: Path) -> str:
    """Commit what stages read, and what git keeps of what they write, as it is in the folder.

    That is: all that git tracks; files that it does not track yet, where stages read or write them; DVC's own
    files. Nothing else leaves the folder.
    """
    with open_repo(folder, locked=True) as repo:
        nodes = list(repo.index.graph)
        files = {path for node in nodes for path in (node.path_in_repo, _lock_path(node))}
        outs = [out for node in nodes for out in node.outs]
        read = [dep for node in nodes for dep in node.deps]
        wanted = files | _paths_in_repo([*read, *(out for out in outs if not out.use_cache)], repo)
        cached = _paths_in_repo((out for out in outs if out.use_cache), repo)
        return commit_folder(folder, wanted, cached, "The state of a run")


def take_results(folder: Path, name: str, commit: str) -> None:
    """Take the results of a stage from a commit: its entry in ``dvc.lock``, and its small outputs.

    Its data then follow by ``dvc pull``. Raises :class:`RefrainError`, and changes nothing, if the commit
    does not hold them.
    """
    with open_repo(folder, locked=True) as repo:
        node = find_stage(repo, name)
        small = _paths_in_repo((out for out in node.outs if not out.use_cache), repo)
        entry = _read_entry(folder, node, commit)
        _check_entry(node, entry)
        _check_files(folder, commit, small)
        for out in node.outs:
            if not out.use_cache:
                out.remove()
        if small:
            restore_files(folder, commit, small)
        for out in node.outs:  # DVC writes the data's .gitignore there
            Path(out.fs_path).parent.mkdir(parents=True, exist_ok=True)
        node.ignore_outs()
        StageLoader.fill_from_lock(node, entry)
        node.dump(update_pipeline=False)


def _read_entry(folder: Path, node: DvcStage, commit: str) -> dict[str, Any]:
    """A stage's entry in the ``dvc.lock`` of a commit."""
    lock = YAML(typ="safe").load(run_git(folder, "show", f"{commit}:{_lock_path(node)}"))
    entry: dict[str, Any] = lock.get("stages", {}).get(node.name, {})
    return entry


def _check_entry(node: DvcStage, entry: dict[str, Any]) -> None:
    """Raise :class:`RefrainError` unless an entry is that of this stage, as it is in ``dvc.yaml`` now."""
    outs = {out.get("path"): str(out.get("md5")) for out in entry.get("outs", [])}
    if entry.get("cmd") != node.cmd or outs.keys() != {out.def_path for out in node.outs}:
        raise RefrainError(
            "its results are those of another stage: dvc.yaml has changed meanwhile; run again"
        )
    if not all(map(DIGEST.fullmatch, outs.values())):
        raise RefrainError("its results contain a wrong digest: run again, and check who can push to git")


def _check_files(folder: Path, commit: str, small: Iterable[str]) -> None:
    """Raise :class:`RefrainError` unless small outputs are plain files, or folders of these."""
    for path in small:
        listed = run_git(folder, "ls-tree", "-r", commit, "--", path).splitlines()
        if {line.partition(" ")[0] for line in listed} != {"100644"}:
            raise RefrainError(f"{path} is missing in its results, or is no plain file: run again")


def _paths_in_repo(items: Iterable[Output], repo: Repo) -> set[str]:
    """Paths of dependencies or outputs inside the repository, as seen from its folder."""
    root = Path(repo.root_dir)
    local = (Path(item.fs_path) for item in items if item.protocol == "local")
    return {path.relative_to(root).as_posix() for path in local if path.is_relative_to(root)}


def _lock_path(node: DvcStage) -> str:
    """The ``dvc.lock`` beside a stage's ``dvc.yaml``, as seen from the repository's folder."""
    return Path(node.path_in_repo).with_name(LOCK_FILE).as_posix()
