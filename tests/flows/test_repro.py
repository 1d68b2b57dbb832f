"""Stages run by DVC in processes of their own, without Prefect."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from ruamel.yaml import YAML

from flows.repro import Runner, what_went_wrong
from tests.support.project import Project


@pytest.fixture
def repository(new_project: Callable[[str], Project]) -> Callable[..., Project]:
    """Makes a DVC repository from stages' commands."""

    def make(**commands: str) -> Project:
        project = new_project("repository")
        lines = [f"  {name}:\n    cmd: {cmd}\n    outs: [{name}]\n" for name, cmd in commands.items()]
        (project.folder / "dvc.yaml").write_text("stages:\n" + "".join(lines))
        return project

    return make


def test_stage_runs_and_is_then_cached(repository: Callable[..., Project]) -> None:
    project = repository(one="echo $OMP_NUM_THREADS | tee one")
    heard: list[str] = []
    runner = Runner(project.folder, 1)
    outcome = runner.repro("one", 3, False, heard.append)
    assert (outcome.error, outcome.cached) == (None, False)
    assert "3" in heard, "threads are told to the stage, and its output to us"
    assert runner.repro("one", 3, False, heard.append).cached
    assert not runner.repro("one", 3, True, heard.append).cached


@pytest.mark.parametrize(
    ("command", "error", "may_pass"),
    [
        ("'echo error: no good. >&2; exit 1'", "no good.", False),
        ("'echo error: lost. >&2; exit 75'", "lost.", True),
        ("kill -9 $$", "failed to run", True),
        ("'false'", "failed to run: false, exited with 1", False),
    ],
)
def test_error_is_the_stages_own(
    repository: Callable[..., Project], command: str, error: str, may_pass: bool
) -> None:
    outcome = Runner(repository(one=command).folder, 1).repro("one", 1, False, lambda _: None)
    assert outcome.error is not None
    assert error in outcome.error
    assert outcome.may_pass is may_pass


def test_lock_held_by_another_dvc_may_pass() -> None:
    for line in (
        "ERROR: Unable to acquire lock. Most likely another DVC process is running",
        "ERROR: '/x/models' is busy, it is being blocked by:",
    ):
        assert Runner.may_pass([line], 255)
    assert not Runner.may_pass(["error: train.epochs: 0 is wrong", "  - connection timed out"], 1)


def test_what_went_wrong_without_a_word() -> None:
    assert what_went_wrong([], 3) == "dvc ended with status 3"
    assert what_went_wrong(["'./dvc.yaml' is invalid.", "line 7"], 3) == "'./dvc.yaml' is invalid. line 7"


SAVES_WHEN_STOPPED = """
import pathlib, signal, sys, time
def stop(*_):
    time.sleep(0.3)
    pathlib.Path("saved").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""


def test_stop_ends_all_processes_and_waits_for_them(repository: Callable[..., Project]) -> None:
    project = repository(one="python stage.py", two="sleep 60")
    (project.folder / "stage.py").write_text(SAVES_WHEN_STOPPED)
    runner, ready = Runner(project.folder, 2), threading.Event()

    def hear(line: str) -> None:
        if line == "ready":
            ready.set()

    with ThreadPoolExecutor() as pool:
        outcomes = [pool.submit(runner.repro, name, 1, False, hear) for name in ("two", "one")]
        assert ready.wait(30)
        runner.stop()
        assert (project.folder / "saved").exists(), "the stage itself got the signal, and time to act on it"
        assert [future.result().error for future in outcomes] == ["stopped", "stopped"]
    assert runner.repro("one", 1, False, hear).stopped


@pytest.mark.slow
def test_eight_stages_at_once_lose_no_lock_and_no_entry(new_project: Callable[[str], Project]) -> None:
    """REFRAIN_STRESS_RUNS=50 for the long form."""
    project = new_project("stress")
    (project.folder / "source").write_text("x")
    (project.folder / "dvc.yaml").write_text(
        "stages:\n  copy:\n    foreach: [1, 2, 3, 4, 5, 6, 7, 8]\n    do:\n"
        "      cmd: cp source out${item}\n      deps: [source]\n      outs:\n        - out${item}\n"
    )
    names = [f"copy@{i}" for i in range(1, 9)]
    for run in range(int(os.environ.get("REFRAIN_STRESS_RUNS", "2"))):
        (project.folder / "source").write_text(f"run {run}")
        runner = Runner(project.folder, 8)
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(runner.repro, name, 1, False, lambda _: None) for name in names]
        outcomes = [future.result() for future in futures]
        assert [(o.error, o.cached) for o in outcomes] == [(None, False)] * 8
        lock = YAML(typ="safe").load((project.folder / "dvc.lock").read_text())["stages"]
        assert set(lock) == set(names)
        assert len({stage["outs"][0]["md5"] for stage in lock.values()}) == 1
        assert "up to date" in project.run("dvc", "status").stdout
