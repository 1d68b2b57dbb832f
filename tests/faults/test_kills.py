"""Kills, and two runs at once: outputs are whole, or not there (docs/reliability.md)."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.support.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.faults]


def test_two_runs_at_once_end_well(project: Project, finished: Project) -> None:
    """The second waits, or says that the first has the lock; a third finds nothing to do."""
    runs = [project.start("dvc", "repro") for _ in range(2)]
    ends = [(process.communicate(timeout=300)[0], process.returncode) for process in runs]
    assert any(status == 0 for _, status in ends)
    for output, status in ends:
        assert status == 0 or "lock" in output, output
        assert "Traceback" not in output
    assert project.run("dvc", "repro").stdout.count("didn't change, skipping") == 11
    assert project.hashes() == finished.hashes()


STAGES = ["code", "build_vocab", "encode_corpus", "baselines", "train", "evaluate", "generate", "report"]
OF_A_MODEL = ("train", "evaluate", "generate")


@pytest.mark.parametrize("stage", STAGES)
def test_stage_killed_at_twenty_moments_leaves_all_or_nothing(
    again: Project, finished: Project, stage: str
) -> None:
    """kill -9 of the stage's program; its outputs are those of before, whole, or not there."""
    expected = finished.hashes()
    command = [sys.executable, "-m", f"pipeline.stages.{stage}", *(["gru"] if stage in OF_A_MODEL else [])]
    started = time.monotonic()
    again.run(*command)
    seconds = time.monotonic() - started
    for moment in range(20):
        process = again.start(*command)
        time.sleep(seconds * (moment + 0.5) / 20)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for name, digest in again.hashes().items():
            hidden = any(part.startswith(".") for part in Path(name).parts)
            assert hidden or "plots" in name or expected[name] == digest, f"{name} after moment {moment}"
    again.run("dvc", "repro")
    assert again.hashes() == expected
    assert "up to date" in again.run("dvc", "status").stdout
