"""A checkout's folder as a commit, and files of a commit in a folder. No branch and no index changes."""

import os
import shutil
import tempfile
from collections.abc import Collection
from functools import partial
from pathlib import Path

from flows.workspace.git import run_git
from pipeline.errors import RefrainError

MAX_BYTES = 32 << 20
"""Larger changes are probably a text that does not belong in git."""

AUTHOR = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Refrain"), ("EMAIL", "refrain@localhost"))
}
"""The author of commits that exist only during a run, so that machines need no git identity."""


def commit_folder(folder: Path, untracked: Collection[str], left_out: Collection[str], message: str) -> str:
    """Commit what is in a checkout's folder, and return the commit. No branch and no index changes.

    The commit has all files that git tracks, as they are now. It also has files that git neither tracks nor
    ignores, if they are at or below the paths ``untracked``, and not at or below those ``left_out``. Files
    with a dot in front, such as ``.env``, are no code: below ``untracked`` they are left out.

    Raises :class:`RefrainError` if there is more than MAX_BYTES to add.
    """
    with tempfile.TemporaryDirectory() as temporary:
        index = Path(temporary) / "index"
        # copy2 keeps the index's time: git re-reads all files that are not older than its index.
        shutil.copy2(run_git(folder, "rev-parse", "--path-format=absolute", "--git-path", "index"), index)
        variables = {**AUTHOR, "GIT_INDEX_FILE": str(index), "GIT_LITERAL_PATHSPECS": "1"}
        run = partial(run_git, folder, variables=variables)
        changed = run("ls-files", "-z", "--modified").split("\0")
        new = run("ls-files", "-z", "--others", "--exclude-standard", "--", *untracked).split("\0")
        names = [
            *filter(None, changed),
            *(n for n in new if n and not _is_below(n, left_out) and not _is_hidden(n, untracked)),
        ]
        size = sum(path.lstat().st_size for path in map(folder.joinpath, names) if path.is_file())
        if size > MAX_BYTES:
            raise RefrainError(
                f"pools: the folder differs from its commit by {size >> 20} MB: commit that, or `dvc add` "
                "what is large and stages read, and have git ignore the rest"
            )
        run("update-index", "-z", "--add", "--remove", "--replace", "--stdin", stdin="\0".join(names))
        run("update-index", "-z", "--index-info", stdin=_as_they_are(folder, names))
        return run("commit-tree", run("write-tree"), "-p", "HEAD", "-m", message)


def _as_they_are(folder: Path, names: Collection[str]) -> str:
    """Lines for git's index that hold files byte by byte, without filters such as that for line ends.

    DVC's digests are those of the bytes in the folder.
    """
    files = [name for name in names if (folder / name).is_file() and not (folder / name).is_symlink()]
    digests = run_git(
        folder, "hash-object", "-w", "--no-filters", "--stdin-paths", stdin="\n".join(files)
    ).split()
    modes = (755 if os.access(folder / name, os.X_OK) else 644 for name in files)
    return "".join(f"100{m} {d}\t{name}\0" for m, d, name in zip(modes, digests, files, strict=True))


def restore_files(folder: Path, commit: str, paths: Collection[str]) -> None:
    """Write files or folders of a commit into a checkout's folder. No index changes."""
    with tempfile.TemporaryDirectory() as temporary:
        # Not the user's own index, which their git may have locked just now.
        variables = {"GIT_INDEX_FILE": str(Path(temporary) / "index"), "GIT_LITERAL_PATHSPECS": "1"}
        run_git(folder, "restore", f"--source={commit}", "--worktree", "--", *paths, variables=variables)


def _is_hidden(name: str, wanted: Collection[str]) -> bool:
    """Whether, below each wanted path, the file or a folder that holds it has a dot in front."""
    inside = [Path(name).relative_to(path).parts for path in wanted if Path(name).is_relative_to(path)]
    return all(any(part.startswith(".") for part in parts) for parts in inside)


def _is_below(name: str, paths: Collection[str]) -> bool:
    return any(Path(name).is_relative_to(path) for path in paths)
