"""Trainings that are killed or stopped go on to the same bits, run by DVC and by hand."""

import os
import random
import re
import signal
import time
from collections.abc import Callable

import pytest

from tests.support.project import LONG_TRAINING, Project, stored_epoch, wait_for_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture
def trained_and_untrained(new_project: Callable[[str], Project]) -> tuple[Project, Project]:
    """Two projects with the same long training, which only the first has run."""
    projects = new_project("trained"), new_project("untrained")
    for project in projects:
        for old, new in LONG_TRAINING:
            project.edit(old, new)
        project.run("dvc", "repro", "encode_corpus")
    projects[0].run("dvc", "repro", "train@gru")
    return projects


def test_killed_trainings_go_on_to_the_same_bits(trained_and_untrained: tuple[Project, Project]) -> None:
    """kill -9 of the whole process group at random moments, until the run comes through."""
    whole, broken = trained_and_untrained
    moments = random.Random(4)
    for _ in range(3):
        started = time.time()
        process = broken.start("dvc", "repro", "train@gru")
        wait_for_checkpoint(broken, started)
        time.sleep(moments.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert stored_epoch(broken) < 120, "the training was over before it was killed"
    output = broken.run("dvc", "repro", "train@gru")
    assert "going on from its checkpoint" in output.stderr
    ours, theirs = broken.hashes("gru"), whole.hashes("gru")
    assert "models/gru.safetensors" in ours
    assert ours == theirs


def test_stage_that_outlives_dvc_is_over_before_the_next_one_begins(
    trained_and_untrained: tuple[Project, Project],
) -> None:
    """kill -9 of DVC alone: its training goes on, and a second one of the same model waits for it."""
    whole, broken = trained_and_untrained
    started = time.time()
    process = broken.start("dvc", "repro", "train@gru")
    wait_for_checkpoint(broken, started)
    process.kill()
    process.wait()
    output = broken.run("dvc", "repro", "train@gru").stderr
    process.communicate()
    assert re.search(r"^waiting for process \d+, which still runs train@gru$", output, re.MULTILINE), output
    assert broken.hashes("gru") == whole.hashes("gru")


def test_terminated_training_says_so_and_goes_on(project: Project) -> None:
    for old, new in LONG_TRAINING:
        project.edit(old, new)
    project.edit("checkpoint_seconds: 0.2", "checkpoint_seconds: 1000.0")
    project.stage("build_vocab")
    project.stage("encode_corpus")
    process = project.start("python", "-m", "pipeline.stages.train", "gru")
    assert process.stdout is not None
    assert "/120, perplexity" in process.stdout.readline()  # whichever epoch is the first to be shown
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert "gru: stopped by SIGTERM in epoch" in output
    assert (project.folder / ".checkpoints/gru.safetensors").exists()
    assert not (project.folder / "models/gru.safetensors").exists()
    assert "going on from its checkpoint" in project.stage("train", "gru").stderr
    resumed = project.hashes("gru")
    (project.folder / ".checkpoints/gru.safetensors").unlink()
    project.stage("train", "gru")
    assert "models/gru.safetensors" in resumed
    assert project.hashes("gru") == resumed
    project.edit("learning_rate: 0.01", "learning_rate: 0.02")
    process = project.start("python", "-m", "pipeline.stages.train", "gru")
    assert process.stdout is not None
    assert "starting from scratch" in process.stdout.readline()
    process.kill()
    process.communicate()
