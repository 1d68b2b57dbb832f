"""Ten thousand generated answers: names, listings, lock files, trees. None writes where it should not."""

import copy
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pygit2
import pytest
from dvc.stage import Stage as DvcStage
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.stages.answers import check_entry, check_files, list_files, parse_entry
from flows.stages.graph import find_stage
from flows.stages.listings import check_listing
from flows.workspace.dvc_repo import open_repo
from flows.workspace.git import run_git
from flows.workspace.lock_files import DIGEST, check_digests
from flows.workspace.safe_names import check_names
from flows.workspace.snapshots import restore_files
from pipeline.dvc_files import parse_lock
from pipeline.errors import RefrainError
from tests.support.project import Project

pytestmark = pytest.mark.doors

STAGE = "train@gru"
GOOD = hashlib.md5(b"evil").hexdigest()

parts = st.sampled_from(
    ["..", ".", "", ".git", ".GIT", "git~1", ".dvc", "hooks", "a", "b c", "\u9879\u76ee"]
) | st.text(max_size=6)
names = st.lists(parts, min_size=1, max_size=3).map("/".join) | st.text(max_size=8)
digests = st.sampled_from(
    [GOOD, f"{GOOD}.dir", "25/../../../secret.txt", "../x", "", GOOD.upper()]
) | st.text(max_size=40)
junk = st.none() | st.booleans() | st.integers() | st.floats() | names | digests | st.lists(names, max_size=2)
keys = st.sampled_from(
    ["path", "md5", "hash", "size", "nfiles", "isexec", "files", "cloud", "relpath", "etag", "outs"]
)
mappings = st.dictionaries(keys | names, junk, max_size=4)


def is_inside(name: str) -> bool:
    """Whether a name, taken below a folder, stays in the folder and out of git's and DVC's own."""
    path = os.path.normpath(f"/folder/{name}")
    owned = {part.casefold() for part in Path(path).parts} & {".git", ".dvc"}
    return path.startswith("/folder/") and f"/folder/{name}" == path and not owned


def refused(error: RefrainError) -> None:
    """A refusal is one short line that a terminal can show."""
    assert "\n" not in str(error)
    assert len(str(error)) < 1000


@settings(max_examples=4000)
@given(st.lists(names, max_size=2) | st.lists(junk, max_size=1))
def test_names_stay_inside(values: list[Any]) -> None:
    try:
        check_names(values, "data")
    except RefrainError as error:
        refused(error)
    else:
        assert all(map(is_inside, values))
        assert len(set(values)) == len(values)


@settings(max_examples=3000)
@given(
    st.lists(st.fixed_dictionaries({"relpath": names | junk, "md5": digests | junk}) | mappings, max_size=3)
)
def test_listings_stay_inside(files: list[dict[str, Any]]) -> None:
    content = json.dumps(files).encode()
    try:
        check_listing(content, f"{hashlib.md5(content).hexdigest()}.dir", "data")
    except RefrainError as error:
        refused(error)
    else:
        assert all(is_inside(file["relpath"]) and DIGEST.fullmatch(file["md5"]) for file in files)


@pytest.fixture(scope="module")
def node(finished: Project) -> Iterator[DvcStage]:
    with open_repo(finished.folder) as repo:
        yield find_stage(repo, STAGE)


@pytest.fixture(scope="module")
def lock(finished: Project) -> Any:
    return parse_lock((finished.folder / "dvc.lock").read_bytes(), "dvc.lock")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something can be replaced in a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


@settings(max_examples=1500)
@given(data=st.data())
def test_entries_are_the_stages_own(node: DvcStage, lock: Any, data: st.DataObject) -> None:
    hostile = copy.deepcopy(lock["stages"][STAGE])
    for _ in range(data.draw(st.integers(0, 2))):
        *parents, last = data.draw(st.sampled_from(places(hostile)[1:]))
        holder = hostile
        for key in parents:
            holder = holder[key]
        holder[last] = data.draw(junk | mappings | st.lists(mappings, max_size=2))
    try:
        entry = parse_entry({"stages": {STAGE: hostile}}, STAGE)
        check_entry(entry, node)
    except RefrainError as error:
        refused(error)
    else:
        assert entry.cmd == node.cmd
        assert sorted(out.path for out in entry.outs) == sorted(out.def_path for out in node.outs)
        digests = [item.md5 for item in (*entry.outs, *entry.deps) if item.md5 is not None]
        assert all(map(DIGEST.fullmatch, digests))
    try:
        check_digests({"stages": {STAGE: hostile}}, "dvc.lock")
    except RefrainError as error:
        refused(error)
    else:
        for item in (*(hostile.get("outs") or ()), *(hostile.get("deps") or ())):
            assert item.get("md5") is None or DIGEST.fullmatch(item["md5"])


@settings(max_examples=600)
@given(st.binary(max_size=60) | st.text("[]{}&*!:-? \n'\"%@`|>ab1.", max_size=60).map(str.encode))
def test_any_bytes_are_yaml_or_one_line(content: bytes) -> None:
    try:
        check_digests(parse_lock(content, "dvc.lock"), "dvc.lock")
    except RefrainError as error:
        refused(error)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees") / "project"
    folder.mkdir()
    run_git(folder, "init", "-q")
    return folder


modes = st.sampled_from(["100644", "100644", "100644", "40000", "40000", "120000", "100755", "160000"])
entries = st.recursive(
    st.binary(max_size=8),
    lambda inner: st.lists(
        st.tuples(modes, parts.map(lambda n: n.replace("\0", "")) | names, inner), max_size=3
    ),
    max_leaves=6,
)


def write_tree(repo: "pygit2.Repository", value: Any) -> tuple[str, str]:
    """Write blobs and trees as they are, past git's own checks; give the mode and the name of the object."""
    if isinstance(value, bytes):
        return "100644", str(repo.odb.write(pygit2.enums.ObjectType.BLOB, value))
    content = b""
    for mode, name, inner in value:
        own, item = write_tree(repo, inner)
        mode = own if "40000" in (own, mode) else mode
        content += f"{mode} {name.replace(chr(0), '')}\0".encode(errors="surrogatepass") + bytes.fromhex(item)
    return "40000", str(repo.odb.write(pygit2.enums.ObjectType.TREE, content))


@settings(max_examples=400)
@given(output=entries, is_folder=st.booleans())
def test_trees_write_only_the_output(repository: Path, output: Any, is_folder: bool) -> None:
    repo = pygit2.Repository(str(repository))
    mode, item = write_tree(repo, output)
    top = repo.odb.write(pygit2.enums.ObjectType.TREE, f"{mode} out\0".encode() + bytes.fromhex(item))
    before = all_files(repository)
    try:
        check_files(list_files(repository, str(top), "out"), "out", is_folder)
    except RefrainError as error:
        refused(error)
        return
    with tempfile.TemporaryDirectory(dir=repository.parent) as temporary:
        run_git(Path(temporary), "init", "-q")
        alternates = Path(temporary, ".git/objects/info/alternates")
        alternates.write_text(f"{repository}/.git/objects\n")
        inside = all_files(Path(temporary))
        restore_files(Path(temporary), str(top), ["out"])
        new = all_files(Path(temporary)) - inside
        assert {Path(name).relative_to(temporary).parts[0] for name in new} == {"out"}
        assert not any(Path(name).is_symlink() for name in new)
    assert all_files(repository) == before


def all_files(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if "/.git/objects/" not in str(path)}
