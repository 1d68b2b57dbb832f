"""Odd texts, damaged files, full disks, kills: the cases of docs/reliability.md.

Each ends in the right result or in one line that says what to do, and once the cause is gone, `dvc repro`
succeeds without any cleaning by hand.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.faults]

WHOLE = "max_chars: 3000\n"
PREFIXES = "[分开, 不分开]"

GOOD_TEXTS = {
    "all one character": b"a" * 3000,
    "NUL": b"ab\0" * 1000,
    "combining marks": ("a\u0301e\u0308\u0323" * 600).encode(),
    "emoji beyond the BMP": ("a😀👩‍👩‍👧 " * 400).encode(),
    "no line break": b"abcd " * 2_000_000,
    "CRLF": b"ab cd\r\n" * 500,
    "BOM": b"\xef\xbb\xbf" + b"abc " * 800,
}

BAD_TEXTS = {
    "empty": (b"", "no text is left after reading 1 file(s)"),
    "one character": (b"a", "the training split has 1 characters and needs 16: lower train.batch_size"),
    "lone surrogates": (b"abc" * 99 + b"\xed\xa0\x80", "byte 0xed at offset 297 is not UTF-8"),
    "cut in the middle of a character": (b"abc" * 99 + "分".encode()[:2], "byte 0xe5 at offset 297"),
}


def one_line(result: "subprocess.CompletedProcess[str]") -> str:
    """The one line of a program that met an error."""
    assert result.returncode in (1, 75, 255), result.stderr  # the last is DVC's
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return line


def results(project: Project) -> dict[str, str]:
    """Hashes of all outputs but the page, which names a commit."""
    return {name: digest for name, digest in project.hashes().items() if not name.endswith("index.html")}


def set_text(project: Project, content: bytes) -> None:
    (project.folder / "data/raw/lyrics.txt").write_bytes(content)


@pytest.fixture
def with_ascii(again: Project) -> Project:
    """A finished project that asks for prefixes which every text here has."""
    text = (again.folder / "params.yaml").read_text(encoding="utf-8")
    text = text.replace(PREFIXES, "[a]").replace("[分开]", "[a]").replace(WHOLE, "max_chars: null\n")
    text = text.replace("epochs: 4", "epochs: 1").replace("evaluate_every: 2", "evaluate_every: 1")
    (again.folder / "params.yaml").write_text(text, encoding="utf-8")
    return again


@pytest.mark.parametrize("name", GOOD_TEXTS)
def test_odd_text_goes_through_all_stages(with_ascii: Project, name: str) -> None:
    set_text(with_ascii, GOOD_TEXTS[name])
    if name == "no line break":  # ten megabytes: texts only
        with_ascii.run("dvc", "repro", "encode_corpus")
        return
    with_ascii.run("dvc", "repro")
    assert "up to date" in with_ascii.run("dvc", "status").stdout


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_text_that_cannot_be_used_is_one_line(with_ascii: Project, name: str) -> None:
    content, message = BAD_TEXTS[name]
    before = (with_ascii.folder / "data/raw/lyrics.txt").read_bytes()
    set_text(with_ascii, content)
    assert message in one_line(with_ascii.run("dvc", "repro", check=False))
    set_text(with_ascii, before)
    with_ascii.edit("[a]\n  length: 20", "[分]\n  length: 20")
    with_ascii.edit("prefixes: [a], length: 10", "prefixes: [分], length: 10")
    with_ascii.run("dvc", "repro")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def flip_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[20] ^= 16
    path.write_bytes(content)


def swap_shard(path: Path) -> None:
    shutil.copy(path.parent.parent / "valid" / path.name, path)


def swap_model(path: Path) -> None:
    shutil.copy(path.with_name("rnn.safetensors"), path)


SHARD, MODEL = "data/encoded/train/part-00000.parquet", "models/gru.safetensors"

DAMAGE: list[tuple[str, Callable[[Path], None], str]] = [
    (SHARD, truncate, "is damaged"),
    (SHARD, flip, "is damaged"),
    (SHARD, swap_shard, "in the wrong place"),
    ("data/vocab.parquet", truncate, "is damaged"),
    (MODEL, truncate, "is damaged"),
    (MODEL, flip_header, "is damaged"),
    (MODEL, flip, "is damaged"),
    (MODEL, swap_model, "is of model rnn"),
]


@pytest.mark.parametrize(("file", "damage", "message"), DAMAGE)
def test_damaged_file_is_never_used(
    again: Project, finished: Project, file: str, damage: Callable[[Path], None], message: str
) -> None:
    """By a stage of its own; DVC sees what changed and makes it anew."""
    (again.folder / file).chmod(0o644)
    damage(again.folder / file)
    line = one_line(again.stage("evaluate", check=False))
    assert file.split("/part")[0] in line
    assert message in line
    again.run("dvc", "repro")
    assert results(again) == results(finished)


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A disk of its own, this large, for a folder and what is in it."""
    kept = folder.with_name(f"{folder.name}.kept")
    folder.mkdir(exist_ok=True)
    shutil.copytree(folder, kept)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        shutil.rmtree(kept)
        pytest.skip("only root may mount a small disk")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        yield
    finally:
        left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        subprocess.run(["umount", str(folder)], check=True)
        shutil.rmtree(kept)
        assert not [name for name in left if name.endswith(".tmp")], "half-written files are taken away"


@pytest.mark.parametrize(
    ("folder", "kilobytes", "stage"),
    [("data", 400, "encode_corpus"), (".checkpoints", 16, "train"), ("models", 16, "train")],
)
def test_full_disk_is_one_line_and_costs_nothing_once_there_is_room(
    project: Project, finished: Project, folder: str, kilobytes: int, stage: str
) -> None:
    project.run("dvc", "repro", "build_vocab" if stage == "encode_corpus" else "encode_corpus")
    if stage == "encode_corpus":
        size = sum(path.stat().st_size for path in (project.folder / "data").rglob("*") if path.is_file())
        kilobytes = size // 1024 + 24
    arguments = ["gru"] if stage == "train" else []
    with small_disk(project.folder / folder, kilobytes):
        line = one_line(project.stage(stage, *arguments, check=False))
        assert "No space left on device" in line
    project.run("dvc", "repro")
    assert results(project) == results(finished)


def test_folder_without_permission_is_one_line(project: Project, finished: Project) -> None:
    """Root may do anything, so that a read-only mount stands for the missing permission."""
    project.run("dvc", "repro", "encode_corpus")
    models = project.folder / "models"
    models.mkdir(exist_ok=True)
    if os.geteuid():
        models.chmod(0o500)
    elif subprocess.run(["mount", "--bind", "-o", "ro", models, models], check=False).returncode:
        pytest.skip("no mounts here")
    try:
        line = one_line(project.stage("train", "gru", check=False))
        assert "ermission denied" in line or "Read-only file system" in line
    finally:
        if os.geteuid():
            models.chmod(0o700)
        else:
            subprocess.run(["umount", models], check=True)
    project.run("dvc", "repro")
    assert results(project) == results(finished)


def test_two_runs_at_once_end_well(project: Project, finished: Project) -> None:
    """The second waits, or says that the first has the lock; a third finds nothing to do."""
    runs = [project.start("dvc", "repro") for _ in range(2)]
    ends = [(process.communicate(timeout=300)[0], process.returncode) for process in runs]
    assert any(status == 0 for _, status in ends)
    for output, status in ends:
        assert status == 0 or "lock" in output, output
        assert "Traceback" not in output
    assert project.run("dvc", "repro").stdout.count("didn't change, skipping") == 7
    assert results(project) == results(finished)


def test_text_replaced_while_it_is_read_never_gives_a_mixture(with_ascii: Project) -> None:
    """At ten moments of the stage that encodes: shards are of the text that was counted, or not written."""
    old, new = b"abcd " * 4_000_000, b"dcba " * 4_000_000
    set_text(with_ascii, old)
    with_ascii.stage("build_vocab")
    with_ascii.stage("encode_corpus")
    expected = with_ascii.hashes("encoded")
    noticed = 0
    for moment in range(10):
        set_text(with_ascii, old)
        process = with_ascii.start(sys.executable, "-m", "pipeline.stages.encode_corpus")
        time.sleep(0.15 + moment * 0.1)
        replacement = with_ascii.folder / "replacement"
        replacement.write_bytes(new)
        replacement.replace(with_ascii.folder / "data/raw/lyrics.txt")
        output, _ = process.communicate(timeout=60)
        noticed += "changed while the pipeline ran: run `dvc repro` again" in output
        assert process.returncode in (0, 1), output
        assert with_ascii.hashes("encoded") == expected
    assert noticed, "at none of the moments was the text still to be read"


STAGES = ["build_vocab", "encode_corpus", "train", "evaluate", "generate", "report"]


@pytest.mark.parametrize("stage", STAGES)
def test_stage_killed_at_twenty_moments_leaves_all_or_nothing(
    again: Project, finished: Project, stage: str
) -> None:
    """kill -9 of the stage's program; its outputs are those of before, whole, or not there."""
    expected = results(finished)
    command = [sys.executable, "-m", f"pipeline.stages.{stage}", *(["gru"] if stage == "train" else [])]
    started = time.monotonic()
    again.run(*command)
    seconds = time.monotonic() - started
    for moment in range(20):
        process = again.start(*command)
        time.sleep(seconds * (moment + 0.5) / 20)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for name, digest in results(again).items():
            hidden = any(part.startswith(".") for part in Path(name).parts)
            assert hidden or "plots" in name or expected[name] == digest, f"{name} after moment {moment}"
    again.run("dvc", "repro")
    assert results(again) == expected
    assert "up to date" in again.run("dvc", "status").stdout
