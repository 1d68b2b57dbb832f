"""Lock files that came by git: no digest in them leads DVC outside."""

import pytest

from flows.workspace.dvc_repo import open_repo
from flows.workspace.lock_files import check_digests, check_digests_in_lock_files
from pipeline.dvc_files import parse_lock
from pipeline.errors import RefrainError
from tests.support.project import Project

CLIMBING = "25/../../../secret.txt"
GOOD = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "item",
    [
        {"path": "a", "md5": CLIMBING},
        {"path": "a", "md5": "/etc/passwd"},
        {"path": "a", "md5": f"{GOOD}.dir\n"},
        {"path": "a", "md5": f"{GOOD}.dirx"},
        {"path": "a", "md5": GOOD.upper()},
        {"path": "a", "md5": 25},
        {"path": "a", "md5": [GOOD]},
        {"path": "a", "hash": "etag", "etag": CLIMBING},
        {"path": "a", "hash": "md5", "cloud": {"store": {"md5": CLIMBING}}},
        {"path": "a", "files": [{"relpath": "b", "md5": CLIMBING}]},
        {"path": "a", "files": [{"relpath": "../b", "md5": GOOD}]},
        {"path": "a", "files": {"relpath": "b"}},
        {"path": "a", "files": ["b"]},
        "a",
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["outs", "deps"])
def test_a_wrong_digest_is_refused_wherever_it_is(item: object, kind: str) -> None:
    for lock in (
        {"schema": "2.0", "stages": {"train": {"cmd": "x", kind: [item]}}},
        {"train": {"cmd": "x", kind: [item]}},  # as DVC 1 wrote it
        {kind: [item]},  # a .dvc file
    ):
        with pytest.raises(RefrainError, match=r"^dvc\.lock: ") as error:
            check_digests(lock, "dvc.lock")
        assert "\n" not in str(error.value)


def test_what_dvc_writes_passes() -> None:
    url = {"path": "https://example.org/a", "hash": "md5", "checksum": '"../x"', "size": 3}
    versioned = {
        "path": "b",
        "hash": "md5",
        "files": [{"relpath": "c/d", "md5": GOOD, "cloud": {"s": {"etag": "x"}}}],
    }
    params = {"params.yaml": {"md5": "a parameter of that name"}}
    outs = [{"path": "a", "hash": "md5", "md5": f"{GOOD}.dir", "nfiles": 1}, versioned]
    check_digests(
        {"stages": {"train": {"cmd": "x", "deps": [url], "params": params, "outs": outs}}}, "dvc.lock"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"{a: " * 30_000,
        b"a: " + b"9" * 6000,
        b"a: 2001-02-30",
        b'a: !!int "x"',
        b"a: !!bool x",
        b"!!python/object/apply:os.system [id]",
        b"\xff",
        b"a: &a [x]\nb: &b [" + b"*a, " * 1000 + b"]\nc: [" + b"*b, " * 1000 + b"]",
        b"#" * (17 << 20),
    ],
    ids=lambda content: repr(content[:20]),
)
def test_yaml_that_is_no_lock_file_is_one_line(content: bytes) -> None:
    with pytest.raises(RefrainError, match=r"^dvc\.lock") as error:
        parse_lock(content, "dvc.lock")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_a_climbing_digest_stops_flows_before_dvc_reads_it(project: Project) -> None:
    secret = project.folder / "secret.txt"
    secret.write_text("a secret")
    project.run("git", "add", "-f", "secret.txt")
    (project.folder / "text.dvc").write_text(
        f"outs:\n- path: text\n  hash: md5\n  md5: {CLIMBING}\n  size: 8\n"
    )
    project.commit("of a colleague")
    with pytest.raises(RefrainError, match=r"^text\.dvc: 'text': wrong digest '25/\.\./"):
        check_digests_in_lock_files(project.folder)
    with pytest.raises(RefrainError, match=r"^text\.dvc: "), open_repo(project.folder):
        pass
    assert secret.read_text() == "a secret"
