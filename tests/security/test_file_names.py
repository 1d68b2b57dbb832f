"""Names of files in answers and listings."""

import pytest

from flows.workspace.safe_names import check_names
from pipeline.errors import RefrainError

HOSTILE = [
    "../x",
    "a/../../x",
    "/etc/passwd",
    "",
    ".",
    "a//b",
    "a/./b",
    "a/",
    "C:x",
    "a\\..\\x",
    "a\0b",
    "a\nb",
    "a\x1b[2Jb",
    "a\x9bb",
    "a\udcffb",
    ".git/hooks/post-checkout",
    ".GIT/config",
    "a/.Git/config",
    ".g\u200cit/config",
    "git~1/config",
    ".git./config",
    ".git /config",
    ".git::$INDEX_ALLOCATION/config",
    "\uff0egit/config",
    ".dvc/config.local",
    "a/.DVC/config",
    "a" * 5000,
    None,
    7,
    ["a"],
]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:20])
def test_names_that_reach_outside_are_refused(name: object) -> None:
    with pytest.raises(RefrainError, match="may reach outside its folder") as error:
        check_names([name], "data")
    assert str(error.value).isascii()
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300


def test_two_files_at_one_place_are_refused() -> None:
    with pytest.raises(RefrainError, match="is there twice"):
        check_names(["a", "a"], "data")
    with pytest.raises(RefrainError, match="is below a name that is a file"):
        check_names(["a/b/c", "a"], "data")


def test_ordinary_names_pass() -> None:
    check_names(
        ["part-0.parquet", "\u5206\u5f00/a b.txt", "a.b/.hidden", "ab:c", "..a", "a..", ".gitignore"], "data"
    )
