"""Damaged files, full disks, missing permissions: nothing half-written is used (docs/reliability.md).

Once the cause is gone, `dvc repro` succeeds without any cleaning by hand.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.faults import one_line, small_disk
from tests.support.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.faults]


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
    (MODEL, swap_model, "holds model rnn"),
]


@pytest.mark.parametrize(("file", "damage", "message"), DAMAGE)
def test_damaged_file_is_never_used(
    again: Project, finished: Project, file: str, damage: Callable[[Path], None], message: str
) -> None:
    """By a stage of its own; DVC sees what changed and makes it anew."""
    (again.folder / file).chmod(0o644)
    damage(again.folder / file)
    line = one_line(again.stage("evaluate", "gru", check=False))
    assert file.split("/part")[0] in line
    assert message in line
    again.run("dvc", "repro")
    assert again.hashes() == finished.hashes()


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
    assert project.hashes() == finished.hashes()


def test_what_dvc_leaves_on_a_full_disk_stops_no_later_run(project: Project) -> None:
    """A disk for DVC's notes on which there is no room for the last of them."""
    notes = project.folder / ".dvc/tmp"
    shutil.rmtree(notes, ignore_errors=True)
    with small_disk(notes, 8):
        assert "No space left on device" in project.run("dvc", "repro", "build_vocab", check=False).stderr
        left = (notes / "rwlock").read_bytes()
    (notes / "rwlock").write_bytes(left)
    assert "rwlock" in project.run("dvc", "repro", "build_vocab", check=False).stderr, "DVC alone never runs"
    project.run("python", "-c", "from pipeline.cli import main; main()", "check")
    project.run("dvc", "repro", "build_vocab")


@pytest.mark.parametrize("size", [0, 30])
def test_cut_off_lock_file_is_one_line(again: Project, size: int) -> None:
    """DVC writes it in place."""
    os.truncate(again.folder / "dvc.lock", size)
    result = again.run("python", "-c", "from pipeline.cli import main; main()", "check", check=False)
    assert "run `git checkout dvc.lock`" in one_line(result)
    again.run("git", "checkout", "dvc.lock")
    assert "up to date" in again.run("dvc", "repro").stdout


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
    assert project.hashes() == finished.hashes()
