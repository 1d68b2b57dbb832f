"""Stages run by DVC in processes of their own, without Prefect."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from ruamel.yaml import YAML

from flows.stages.graph import Stage
from flows.stages.runner import UNCHANGED, LocalRunner, StageResult
from flows.workspace.programs import Programs, Stopped, error_of_program
from pipeline.errors import RefrainError, TransientError
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


def stage(name: str) -> Stage:
    return Stage(name, (), True)


def run(project: Project, name: str, force: bool = False) -> StageResult:
    return LocalRunner(Programs(project.folder), {name: 1}, force=force).run(stage(name), lambda _: None)


def test_stage_runs_and_is_then_cached(repository: Callable[..., Project]) -> None:
    project = repository(one="echo $OMP_NUM_THREADS | tee one")
    lines: list[str] = []
    runner = LocalRunner(Programs(project.folder), {"one": 3})
    assert runner.run(stage("one"), lines.append).summary.endswith("with 3 threads")
    assert "3" in lines, "the stage knows its threads, and we see its output"
    assert runner.run(stage("one"), lines.append) == UNCHANGED
    assert run(project, "one", force=True).is_new


def test_what_ran_before_comes_from_the_run_cache(repository: Callable[..., Project]) -> None:
    project = repository(one="cp source one")
    dvc_yaml = project.folder / "dvc.yaml"
    dvc_yaml.write_text(dvc_yaml.read_text() + "    deps: [source]\n")
    for content, summary in (("1", "ran in "), ("2", "ran in "), ("1", "restored from DVC's run cache in ")):
        (project.folder / "source").write_text(content)
        result = run(project, "one")
        assert result.is_new
        assert result.summary.startswith(summary)
        assert (project.folder / "one").read_text() == content


@pytest.mark.parametrize(
    ("command", "message", "kind"),
    [
        ("'echo error: no good. >&2; exit 1'", "no good.", RefrainError),
        ("'echo error: lost. >&2; exit 75'", "lost.", TransientError),
        ("kill -9 $$", "failed to run", TransientError),
        ("'false'", "failed to run: false, exited with 1", RefrainError),
    ],
)
def test_error_is_the_stages_own(
    repository: Callable[..., Project], command: str, message: str, kind: type[RefrainError]
) -> None:
    with pytest.raises(RefrainError, match=message) as caught:
        run(repository(one=command), "one")
    assert type(caught.value) is kind


def test_lock_held_by_another_dvc_is_a_transient_error() -> None:
    for line in (
        "ERROR: Unable to acquire lock. Most likely another DVC process is running",
        "ERROR: '/x/models' is busy, it is being blocked by:",
    ):
        assert isinstance(error_of_program([line], 255), TransientError)
    error = error_of_program(["error: train.epochs: 0 is wrong", "  - connection timed out"], 1)
    assert not isinstance(error, TransientError)


def test_errors_of_programs_that_say_nothing_of_their_own() -> None:
    assert "status 3" in str(error_of_program([], 3))
    lines = ["'./dvc.yaml' is invalid.", "line 7"]
    assert str(error_of_program(lines, 3)) == "'./dvc.yaml' is invalid. line 7"


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
    ready = threading.Event()
    runner = LocalRunner(Programs(project.folder), {"one": 1, "two": 1}, max_parallel=2)

    def on_line(line: str) -> None:
        if line == "ready":
            ready.set()

    with ThreadPoolExecutor() as pool:
        results = [pool.submit(runner.run, stage(name), on_line) for name in ("two", "one")]
        assert ready.wait(60)
        runner.stop()
        assert (project.folder / "saved").exists(), "the stage itself got the signal, and time to act on it"
        assert [type(future.exception()) for future in results] == [Stopped, Stopped]
    with pytest.raises(Stopped):
        runner.run(stage("one"), on_line)


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
    for number in range(int(os.environ.get("REFRAIN_STRESS_RUNS", "2"))):
        (project.folder / "source").write_text(f"run {number}")
        runner = LocalRunner(Programs(project.folder), dict.fromkeys(names, 1), max_parallel=8)
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(runner.run, stage(name), lambda _: None) for name in names]
        assert all(future.result().is_new for future in futures)
        lock = YAML(typ="safe").load((project.folder / "dvc.lock").read_text())["stages"]
        assert set(lock) == set(names)
        assert len({entry["outs"][0]["md5"] for entry in lock.values()}) == 1
        assert "up to date" in project.run("dvc", "status").stdout
