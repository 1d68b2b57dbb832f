"""Terminals, users and homes that lack what programs take for granted: Chinese, a name, a folder."""

import os
import shutil
import subprocess

import pytest

from pipeline.commands.write import _utf8
from tests.support.project import Project

ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
WRITE = ("refrain", "write", "--model", "gru", "--length", "5", "--prefix")


def run_as(project: Project, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return project.run(*command, check=False, env={**os.environ, **variables})


@pytest.mark.slow
def test_a_terminal_of_ascii_shows_codes(finished: Project) -> None:
    result = run_as(finished, *WRITE, "分开", **ASCII)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(r"\u5206\u5f00")
    assert run_as(finished, "refrain", "show", **ASCII).returncode == 0


@pytest.mark.slow
def test_errors_are_readable_there_too(project: Project) -> None:
    project.edit("path: data/raw/lyrics.txt", "path: 歌.txt")
    result = run_as(project, "refrain", "check", **ASCII)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(r"error: params.yaml: corpus.path: '\u6b4c.txt' does not exist")


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{}, ASCII, {"LC_ALL": "C.UTF-8"}])
def test_a_prefix_that_is_no_text_is_one_line(finished: Project, variables: dict[str, str]) -> None:
    result = run_as(finished, *WRITE, os.fsdecode(b"\xff\xe5"), "--allow-unk", **variables)
    assert result.returncode == 2
    assert "is not UTF-8" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


@pytest.fixture
def nobody() -> list[str]:
    """The beginning of a command that runs as a user whom the system does not know."""
    command = ["unshare", "--user", "--map-user=12345"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("this machine has no user namespaces")
    return command


@pytest.mark.slow
def test_a_user_without_a_name_or_home_is_told_what_to_set(finished: Project, nobody: list[str]) -> None:
    names = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME")
    known = {name: value for name, value in os.environ.items() if name not in names}
    for variables, message in (
        ({}, "error: this user has no home: set HOME to a folder that they may write to"),
        ({"HOME": "/nowhere"}, "error: this user has no name: set LOGNAME to any name"),
    ):
        for command in (["refrain", "check"], ["python", "-m", "flows.reproduce"]):
            result = finished.run(*nobody, *command, check=False, env=known | variables)
            assert result.returncode == 1
            assert result.stderr.splitlines() == [message]
        written = finished.run(*nobody, *WRITE, "分开", env=known | variables).stdout
        assert written.startswith("分开"), "what needs neither works without them"
    known |= {"HOME": "/nowhere", "LOGNAME": "x", "DVC_SITE_CACHE_DIR": str(finished.folder / "site")}
    finished.run(*nobody, "refrain", "check", env=known)


def test_somebody_elses_home_is_not_looked_for(project: Project) -> None:
    project.edit("path: data/raw/lyrics.txt", "path: ~nobody-of-that-name/poems.txt")
    (line,) = project.run("refrain", "check", check=False).stderr.splitlines()
    assert line.startswith(
        "error: params.yaml: corpus.path: '~nobody-of-that-name/poems.txt' does not exist: "
    )


def test_a_prefix_is_utf8_or_else_what_the_locale_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _utf8("分开") == "分开"
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode("gbk"))
    assert _utf8("分开") == "分开"
