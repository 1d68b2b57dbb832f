"""What the flow sends to another machine for a stage, and what it gets back. Data go over DVC's remote.

The flow sends a commit of all that stages read. It gets back a child of that commit, with the stage's entry
in ``dvc.lock`` and the small outputs that git keeps.
"""

from collections.abc import Iterable
from pathlib import Path

from dvc.output import Output
from dvc.repo import Repo
from dvc.stage.loader import StageLoader

from flows.stages.answers import checked_entry, lock_path
from flows.stages.graph import find_stage
from flows.workspace.dvc_repo import open_repo
from flows.workspace.snapshots import commit_folder, restore_files


def commit_state(folder: Path) -> str:
    """Commit what stages read, and what git keeps of what they write, as it is in the folder.

    That is: all that git tracks; files that it does not track yet, where stages read or write them; DVC's own
    files. Nothing else leaves the folder.
    """
    with open_repo(folder, locked=True) as repo:
        nodes = list(repo.index.graph)
        files = {path for node in nodes for path in (node.path_in_repo, lock_path(node))}
        outs = [out for node in nodes for out in node.outs]
        read = [dep for node in nodes for dep in node.deps]
        wanted = files | _paths_in_repo([*read, *(out for out in outs if not out.use_cache)], repo)
        cached = _paths_in_repo((out for out in outs if out.use_cache), repo)
        return commit_folder(folder, wanted, cached, "The state of a run")


def take_results(folder: Path, name: str, commit: str, sent: str) -> None:
    """Take the results of a stage from a commit: its entry in ``dvc.lock``, and its small outputs.

    ``sent`` is the commit that the stage was run on. The stage's data then follow by ``dvc pull``. Raises
    :class:`RefrainError`, and changes nothing, unless ``commit`` holds these results and no more.
    """
    with open_repo(folder, locked=True) as repo:
        node = find_stage(repo, name)
        entry = checked_entry(node, commit, sent)
        small = [out for out in node.outs if not out.use_cache]
        paths = _paths_in_repo(small, repo)
        StageLoader.fill_from_lock(node, entry.as_dvc_has_it())
        for out in small:
            out.remove()
        if paths:
            restore_files(folder, commit, paths)
        for out in node.outs:  # DVC writes the data's .gitignore there
            Path(out.fs_path).parent.mkdir(parents=True, exist_ok=True)
        node.ignore_outs()
        node.dump(update_pipeline=False)


def _paths_in_repo(items: Iterable[Output], repo: Repo) -> set[str]:
    """Paths of dependencies or outputs inside the repository, as seen from its folder."""
    root = Path(repo.root_dir)
    local = (Path(item.fs_path) for item in items if item.protocol == "local")
    return {path.relative_to(root).as_posix() for path in local if path.is_relative_to(root)}
