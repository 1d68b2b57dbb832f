"""Answers of a hostile worker: whoever can push to the git remote. Nothing is written, one line says why."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.workspace.git import run_git
from tests.support.answers import Pair

pytestmark = pytest.mark.slow

METRICS = "reports/train/gru/plots/metrics/train/perplexity.tsv"
PLOTS = "reports/train/gru/plots/metrics"


def write_object(folder: Path, kind: str, content: bytes) -> str:
    """Write an object of git's, however wrong, and return its name."""
    command = ["git", "hash-object", "-w", "-t", kind, "--literally", "--stdin"]
    return (
        subprocess.run(command, cwd=folder, input=content, capture_output=True, check=True)
        .stdout.decode()
        .strip()
    )


def tree(folder: Path, *entries: tuple[str, str, str]) -> str:
    """A tree of entries: mode, name, and object."""
    content = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(item) for mode, name, item in entries)
    return write_object(folder, "tree", content)


def with_entry(pair: Pair, path: str, mode: str, item: str) -> str:
    """The right answer, but with another object at a path."""
    folder = pair.other.folder
    names = path.split("/")
    top = run_git(folder, "rev-parse", f"{right_tree(pair)}^{{tree}}")
    for depth in range(len(names), 0, -1):
        parent = ":".join((top, "/".join(names[: depth - 1])))
        lines = [line.split(None, 3) for line in run_git(folder, "ls-tree", parent).splitlines()]
        entries = [
            (m.removeprefix("0"), name, each) for m, _, each, name in lines if name != names[depth - 1]
        ]
        item, mode = (
            tree(folder, *sorted([*entries, (mode, names[depth - 1], item)], key=lambda e: e[1])),
            "40000",
        )
    return pair.push(run_git(folder, "commit-tree", item, "-p", pair.sent, "-m", "x"))


def right_tree(pair: Pair) -> str:
    run_git(pair.other.folder, "add", "--all")
    return run_git(pair.other.folder, "write-tree")


def blob(pair: Pair, content: bytes = b"#!/bin/sh\ntouch owned\n") -> str:
    return write_object(pair.other.folder, "blob", content)


def climbing(pair: Pair, name: str) -> str:
    return with_entry(pair, PLOTS, "40000", tree(pair.other.folder, ("100644", name, blob(pair))))


def bomb(pair: Pair) -> str:
    """A tree of ten billion files, in eleven objects."""
    item, mode = blob(pair), "100644"
    for _ in range(10):
        item, mode = tree(pair.other.folder, *((mode, f"{n}", item) for n in range(10))), "40000"
    return with_entry(pair, PLOTS, "40000", item)


def edit_lock(pair: Pair, old: str, new: str) -> str:
    """The right answer, but with another text in the stage's entry in ``dvc.lock``."""
    lock = pair.other.folder / "dvc.lock"
    before, start, entry = lock.read_text(encoding="utf-8").partition("  train@gru:\n")
    assert old in entry
    lock.write_text(before + start + entry.replace(old, new, 1), encoding="utf-8")
    return pair.answer()


ANSWERS: dict[str, tuple[Callable[[Pair], str], str]] = {
    "a symbolic link": (
        lambda p: with_entry(p, METRICS, "120000", blob(p, b"/etc/passwd")),
        "is no plain file",
    ),
    "a program": (lambda p: with_entry(p, METRICS, "100755", blob(p)), "is no plain file"),
    "a submodule": (lambda p: with_entry(p, METRICS, "160000", p.sent), "is no plain file"),
    "a file for a folder": (lambda p: with_entry(p, PLOTS, "100644", blob(p)), "is no plain file"),
    "an empty folder": (lambda p: with_entry(p, PLOTS, "40000", tree(p.other.folder)), "is missing"),
    "dots": (lambda p: climbing(p, ".."), "may reach outside"),
    "a hook": (lambda p: climbing(p, ".git"), "may reach outside"),
    "a hook for Windows": (lambda p: climbing(p, "GIT~1"), "may reach outside"),
    "an absolute path": (lambda p: climbing(p, "/tmp/x"), "may reach outside"),
    "a backslash": (lambda p: climbing(p, "..\\x"), "may reach outside"),
    "a bomb": (bomb, "more than 4 MB"),
    "a large file": (lambda p: with_entry(p, METRICS, "100644", blob(p, b"0" * (33 << 20))), "too large"),
    "the state itself": (lambda p: p.sent, "no answer to what was sent"),
    "no dvc.lock": (lambda p: with_entry(p, "dvc.lock", "40000", tree(p.other.folder)), "nothing to read"),
    "a deep dvc.lock": (
        lambda p: with_entry(p, "dvc.lock", "100644", blob(p, b"[" * 99999)),
        "nested deeper than 50 levels",
    ),
    "a long dvc.lock": (
        lambda p: with_entry(p, "dvc.lock", "100644", blob(p, b"#" * (17 << 20))),
        "more than 16 MB",
    ),
    "a dvc.lock of a list": (
        lambda p: with_entry(p, "dvc.lock", "100644", blob(p, b"[a]")),
        "of another stage",
    ),
    "a climbing digest": (
        lambda p: edit_lock(p, "    outs:\n", f"    outs:\n    {BAD_OUT}\n"),
        "a wrong digest",
    ),
    "a file as a folder": (
        lambda p: edit_lock(p, f"{MODEL}      hash: md5\n", f"{MODEL}      hash: md5\n      nfiles: 3\n"),
        "of a wrong form",
    ),
    "another kind of digest": (
        lambda p: edit_lock(p, f"{MODEL}      hash: md5\n", f"{MODEL}      hash: etag\n"),
        "wrong form",
    ),
    "other parameters": (lambda p: edit_lock(p, "seed: 1", "seed: 2"), "with other parameters"),
    "other code": (
        lambda p: edit_lock(p, "code.json:\n        train:", "code.json:\n        generate:"),
        "another stage",
    ),
    "another command": (lambda p: edit_lock(p, "cmd: python", "cmd: touch x; python"), "of another stage"),
    "an output elsewhere": (lambda p: edit_lock(p, "models/gru", "../models/gru"), "of another stage"),
}
MODEL = "    - path: models/gru.safetensors\n"
BAD_OUT = "- {path: models/gru.safetensors, hash: md5, md5: 25/../../../secret.txt, size: 8}"


@pytest.mark.parametrize("name", ANSWERS)
def test_a_hostile_answer_changes_nothing(pair: Pair, name: str) -> None:
    make, message = ANSWERS[name]
    secret = pair.home.folder.parent / "secret.txt"
    secret.write_text("a secret")
    pair.refuses(make(pair), message)


def test_an_answer_to_another_state_is_refused(pair: Pair) -> None:
    run_git(pair.other.folder, "commit", "-q", "--allow-empty", "-m", "in between")
    pair.refuses(pair.answer(), "no answer to what was sent")


@pytest.mark.parametrize("place", ["reports", "reports/train/gru", PLOTS])
def test_results_are_not_written_through_a_symbolic_link(pair: Pair, place: str) -> None:
    answer, there = pair.answer(), pair.home.folder.parent / "elsewhere"
    path = pair.home.folder / place
    path.rename(there)
    path.symlink_to(there)
    pair.refuses(answer, "is a symbolic link")


def test_a_symbolic_link_inside_a_folder_of_results_is_replaced(pair: Pair) -> None:
    answer, there = pair.answer(), pair.home.folder.parent / "elsewhere"
    there.write_text("the user's own")
    path = pair.home.folder / METRICS
    path.unlink()
    path.symlink_to(there)
    pair.take(answer)
    assert not path.is_symlink()
    assert there.read_text() == "the user's own"


def test_what_else_an_answer_has_is_not_taken(pair: Pair) -> None:
    before = {
        name: (pair.home.folder / name).read_bytes()
        for name in ("pipeline/errors.py", ".dvc/config", "params.yaml")
    }
    for name in before:
        with (pair.other.folder / name).open("a") as file:
            file.write("# owned\n")
    pair.take(pair.answer())
    assert before == {name: (pair.home.folder / name).read_bytes() for name in before}
