"""What another machine answers, checked before any of it is used.

An answer is a commit, which whoever can push to the git remote may have made. All that is taken from it is a
stage's entry in ``dvc.lock``, and the stage's small outputs, which are plain files.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dvc.dependency.param import ParamsDependency, read_param_file
from dvc.dvcfile import LOCK_FILE
from dvc.fs import GitFileSystem
from dvc.stage import Stage as DvcStage
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from flows.stages.listings import check_listing_of
from flows.workspace.git import read_git, run_git
from flows.workspace.lock_files import DIGEST
from flows.workspace.safe_names import check_names
from flows.workspace.snapshots import MAX_BYTES
from pipeline.dvc_files import MAX_LOCK_BYTES, parse_lock
from pipeline.errors import RefrainError

MAX_FILES = 10_000
"""Of the small outputs of one stage, which have at most as many bytes as a folder may send."""

MAX_LISTED_BYTES = 4 << 20
"""A tree that holds itself many times lists without end."""

SOMEBODY = "run again, and check who can push to git"

Digest = Annotated[str, StringConstraints(pattern=rf"^{DIGEST.pattern}$")]
Size = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Out(_Strict):
    """An output, as ``dvc.lock`` has it; ``nfiles`` is for folders only."""

    path: str
    hash: Literal["md5"]
    md5: Digest
    size: Size
    nfiles: Size | None = None

    @model_validator(mode="after")
    def _only_folders_have_listings(self) -> Self:
        if self.md5.endswith(".dir") != (self.nfiles is not None):
            raise ValueError("a file has the digest of a folder, or a folder that of a file")
        return self


class Dep(_Strict):
    """A dependency, as ``dvc.lock`` has it: URLs have an ``etag`` or ``checksum`` and no digest."""

    path: str
    hash: Literal["md5"] | None = None
    md5: Digest | None = None
    size: Size | None = None
    nfiles: Size | None = None
    isexec: bool | None = None
    etag: str | None = None
    checksum: str | None = None


class Entry(_Strict):
    """A stage's entry in ``dvc.lock``."""

    cmd: str | list[str]
    deps: list[Dep] = []
    params: dict[str, dict[str, Any]] = {}
    outs: list[Out] = []

    def as_dvc_has_it(self) -> dict[str, Any]:
        """The entry as a mapping, without what is None."""
        deps, outs = (
            [item.model_dump(exclude_none=True) for item in items] for items in (self.deps, self.outs)
        )
        return {"cmd": self.cmd, "deps": deps, "params": self.params, "outs": outs}


def checked_entry(node: DvcStage, commit: str, sent: str) -> Entry:
    """A stage's entry in the ``dvc.lock`` of an answer, after all checks of the answer.

    The answer is a commit; ``sent`` is the one that it answers. Raises :class:`RefrainError` for what is
    wrong.
    """
    root = Path(node.repo.root_dir)
    check_parent(root, commit, sent)
    entry = parse_entry(read_lock(root, commit, lock_path(node)), node.name)
    check_entry(entry, node)
    check_inputs(entry, node, sent)
    is_folder = {out.path: out.md5.endswith(".dir") for out in entry.outs}
    total = 0
    for out in node.outs:
        path = Path(out.fs_path)
        if out.use_cache and is_folder[out.def_path]:
            (md5,) = (each.md5 for each in entry.outs if each.path == out.def_path)
            check_listing_of(node.repo, out, md5)
        elif not out.use_cache and path.is_relative_to(root):
            name = path.relative_to(root).as_posix()
            check_place(root, name)
            total += check_files(list_files(root, commit, name), name, is_folder[out.def_path])
    if total > MAX_BYTES:
        raise RefrainError(f"the small outputs in its results have {total >> 20} MB: {SOMEBODY}")
    return entry


def lock_path(node: DvcStage) -> str:
    """The ``dvc.lock`` beside a stage's ``dvc.yaml``, as seen from the repository's folder."""
    return Path(node.path_in_repo).with_name(LOCK_FILE).as_posix()


def parse_entry(lock: object, name: str) -> Entry:
    """A stage's entry in a parsed ``dvc.lock``. Raises :class:`RefrainError` if its form is wrong."""
    stages = lock.get("stages") if isinstance(lock, dict) else None
    entry = stages.get(name) if isinstance(stages, dict) else None
    if entry is None:
        raise RefrainError(f"its results are those of another stage: {SOMEBODY}")
    try:
        return Entry.model_validate(entry)
    except ValidationError as error:
        # Without the error's own words, which may be long and hostile.
        wrong = (
            "a wrong digest" if error.errors()[0]["loc"][-1:] == ("md5",) else "a dvc.lock of a wrong form"
        )
        raise RefrainError(f"its results contain {wrong}: {SOMEBODY}") from None


def check_entry(entry: Entry, node: DvcStage) -> None:
    """Raise :class:`RefrainError` unless an entry is that of this stage, as it is in ``dvc.yaml`` now."""
    files = [dep.def_path for dep in node.deps if not isinstance(dep, ParamsDependency)]
    params = {dep.def_path: set(dep.params) for dep in node.params}
    is_same = (
        entry.cmd == node.cmd
        and sorted(out.path for out in entry.outs) == sorted(out.def_path for out in node.outs)
        and sorted(dep.path for dep in entry.deps) == sorted(files)
        and entry.params.keys() == params.keys()
        and all(set(entry.params[file]) == names for file, names in params.items() if names)
    )
    if not is_same:
        raise RefrainError(
            "its results are those of another stage: dvc.yaml has changed meanwhile; run again"
        )


def check_inputs(entry: Entry, node: DvcStage, sent: str) -> None:
    """Raise :class:`RefrainError` unless the stage has read what was sent.

    That is the parameters in the commit ``sent``, and the data that other stages have made here.
    """
    repo = node.repo
    files = GitFileSystem(scm=repo.scm, rev=sent)
    for dep in node.params:
        path = Path(dep.fs_path).relative_to(repo.root_dir).as_posix()
        if entry.params[dep.def_path] != read_param_file(files, path, dep.params, flatten=True):
            raise RefrainError(f"its results were made with other parameters than those sent: {SOMEBODY}")
    made = {out.fs_path: out.hash_info.value for out in repo.index.outs if out.hash_info.name == "md5"}
    digests = {dep.path: dep.md5 for dep in entry.deps}
    for dep in node.deps:
        digest = digests.get(dep.def_path)  # None for files of parameters
        if digest and digest != made.get(dep.fs_path, digest):
            raise RefrainError(
                f"its results were made with another {dep.def_path} than that here: {SOMEBODY}"
            )


def check_parent(folder: Path, commit: str, sent: str) -> None:
    """Raise :class:`RefrainError` unless an answer is a child of what was sent, and of nothing else."""
    if run_git(folder, "rev-list", "--parents", "--max-count=1", commit, "--").split() != [commit, sent]:
        raise RefrainError(f"its results are no answer to what was sent: {SOMEBODY}")


def read_lock(folder: Path, commit: str, path: str) -> object:
    """A commit's ``dvc.lock``, parsed. Raises :class:`RefrainError` if it is none, or too large."""
    content = read_git(folder, "cat-file", "blob", f"{commit}:{path}", max_bytes=MAX_LOCK_BYTES)
    return parse_lock(content, f"{path} of its results")


def list_files(folder: Path, commit: str, path: str) -> bytes:
    """All entries of a commit at or below a path, as ``git ls-tree`` lists them."""
    options = ("-r", "-l", "-z", "--full-name")
    return read_git(folder, "ls-tree", *options, commit, "--", path, max_bytes=MAX_LISTED_BYTES)


def check_files(listed: bytes, path: str, is_folder: bool) -> int:
    """The size of a small output, from what ``git ls-tree`` lists.

    Raises :class:`RefrainError` unless it is a plain file at ``path``, or a folder of plain files there.
    """
    total, names = 0, []
    for line in filter(None, listed.split(b"\0")):
        facts, _, name = line.partition(b"\t")
        mode, kind, _, size = facts.split()
        if (mode, kind) != (b"100644", b"blob"):
            raise RefrainError(f"{path} is no plain file in its results: {SOMEBODY}")
        names.append(name.decode(errors="surrogateescape"))
        total += int(size)
    if not names or len(names) > MAX_FILES or total > MAX_BYTES:
        raise RefrainError(f"{path} is missing in its results, or is too large: {SOMEBODY}")
    check_names(names, f"{path} of its results")
    if (names != [path]) if not is_folder else not all(name.startswith(f"{path}/") for name in names):
        raise RefrainError(f"{path} is no plain file in its results where it should be one: {SOMEBODY}")
    return total


def check_place(folder: Path, path: str) -> None:
    """Raise :class:`RefrainError` if a path in a folder leads through a symbolic link, or is one."""
    for part in [Path(path), *Path(path).parents][:-1]:
        if (folder / part).is_symlink():
            raise RefrainError(f"{part} is a symbolic link: results are not written through it: use a folder")
