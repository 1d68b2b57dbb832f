"""Listings of folders on DVC's remote that somebody else has written."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.stages.listings import check_listing, check_listings, pull
from flows.workspace.programs import Programs
from pipeline.errors import RefrainError
from tests.support.answers import everything
from tests.support.project import Project

GOOD = hashlib.md5(b"evil").hexdigest()


def digest_of(content: bytes) -> str:
    return f"{hashlib.md5(content).hexdigest()}.dir"


def one(relpath: object, md5: object = GOOD, **more: object) -> bytes:
    return json.dumps([{"md5": md5, "relpath": relpath, **more}]).encode()


LISTINGS = [
    one("../../x"),
    one("/tmp/x"),
    one("a/../../x"),
    one(".git/hooks/post-checkout"),
    one("a\\x"),
    one("a\0x"),
    one(""),
    one(None),
    one("x", "25/../../../secret.txt"),
    one("x", f"{GOOD}.dir"),
    one("x", 25),
    one("x", None),
    one("x", version_id="1"),
    one("x")[:-1] + b", " + one("x")[1:],
    one("x")[:-1] + b", " + one("x/y")[1:],
    b'[{"relpath": "x"}]',
    b"[1]",
    b"{}",
    b"nothing",
    b"[" * 100_000,
    b"\xff",
    b"9" * 5000,
]


@pytest.mark.parametrize("content", LISTINGS, ids=lambda content: repr(content[:40]))
def test_a_hostile_listing_is_refused(content: bytes) -> None:
    with pytest.raises(RefrainError, match=r"^data: ") as error:
        check_listing(content, digest_of(content), "data")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_a_listing_has_to_match_its_digest() -> None:
    content = one("x")
    check_listing(content, digest_of(content), "data")
    with pytest.raises(RefrainError, match="is not that of its digest"):
        check_listing(content, digest_of(content + b" "), "data")


@pytest.fixture
def puller(project: Project, tmp_path: Path) -> Callable[[bytes, str], Project]:
    """Makes a project whose folder ``data/pulled`` has that listing and digest, on its DVC remote."""

    def make(content: bytes, digest: str) -> Project:
        for name, data in ((digest, content), (GOOD, b"evil")):
            place = tmp_path / "remote/files/md5" / name[:2] / name[2:]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        out = f"- path: pulled\n  hash: md5\n  md5: {digest}\n  nfiles: 1\n  size: 4\n"
        (project.folder / "data/pulled.dvc").write_text(f"outs:\n{out}")
        project.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "remote"))
        project.commit("of a colleague")
        return project

    return make


@pytest.mark.slow
@pytest.mark.parametrize("target", [(), ("data/pulled.dvc",)])
@pytest.mark.parametrize("content", [one("../../x"), one("x", "25/../../../../../secret.txt")])
def test_nothing_is_written_for_a_hostile_listing(
    puller: Callable[[bytes, str], Project], content: bytes, target: tuple[str, ...], tmp_path: Path
) -> None:
    project = puller(content, digest_of(content))
    (tmp_path / "secret.txt").write_text("a secret")
    before = everything(tmp_path)
    with pytest.raises(RefrainError, match=r"^pulled: "):
        pull(Programs(project.folder), *target, on_line=print)
    assert everything(tmp_path) == before
    assert not (project.folder / ".dvc/cache").exists()


@pytest.mark.slow
def test_a_good_listing_is_pulled_and_one_that_is_swapped_is_not(
    puller: Callable[[bytes, str], Project], tmp_path: Path
) -> None:
    content = one("folder/x")
    project = puller(content, digest_of(content))
    listing = tmp_path / "remote/files/md5" / digest_of(content)[:2] / digest_of(content)[2:]
    listing.write_bytes(one("../../x"))
    with pytest.raises(RefrainError, match="is not that of its digest"):
        check_listings(project.folder)
    listing.write_bytes(content)
    check_listings(project.folder)
    listing.write_bytes(one("../../x"))  # too late: DVC takes what was checked
    pull(Programs(project.folder), "data/pulled.dvc", on_line=print)
    assert (project.folder / "data/pulled/folder/x").read_bytes() == b"evil"
    assert not (project.folder / "x").exists()


@pytest.mark.slow
def test_a_hostile_listing_that_is_in_the_cache_already_is_refused(
    puller: Callable[[bytes, str], Project],
) -> None:
    content = one("../../x")
    project = puller(content, digest_of(content))
    cached = project.folder / ".dvc/cache/files/md5" / digest_of(content)[:2] / digest_of(content)[2:]
    cached.parent.mkdir(parents=True)
    cached.write_bytes(content)
    project.run("dvc", "remote", "remove", "store")
    with pytest.raises(RefrainError, match="may reach outside its folder"):
        check_listings(project.folder)
