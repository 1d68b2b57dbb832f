"""Free memory, and kills for lack of it, which are no reason to try again."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.workspace.programs import error_of_program
from pipeline.errors import RefrainError, TransientError
from pipeline.memory import free_memory, kills_for_memory
from tests.support.project import Project


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_limits_of_control_groups_count_also_those_further_out(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    write(proc / "self", cgroup="0::/outer/inner\n")
    write(
        groups / "outer", memory__max="3000000", memory__current="2500000", memory__stat="inactive_file 100"
    )
    write(
        groups / "outer/inner", memory__max="max", memory__current="9", memory__events="oom 4\noom_kill 3\n"
    )
    assert free_memory(proc, groups) == 500_100
    assert kills_for_memory(proc, groups) == 3

    write(proc / "self", cgroup="5:cpu:/x\n4:memory:/of/the/machine\n0::/\n")
    stat = "cache 5\ntotal_inactive_file 7\n"
    write(
        groups / "memory",
        memory__limit_in_bytes="1000",
        memory__usage_in_bytes="900",
        memory__stat=stat,
        memory__oom_control="oom_kill_disable 0\noom_kill 2\n",
    )
    assert free_memory(proc, groups) == 107
    assert kills_for_memory(proc, groups) == 2


def test_without_control_groups_the_machine_counts(tmp_path: Path) -> None:
    assert free_memory(tmp_path, tmp_path) > 0
    assert kills_for_memory(tmp_path, tmp_path) == 0
    write(tmp_path, vmstat="nr_free_pages 1\noom_kill 5\n")
    assert kills_for_memory(tmp_path, tmp_path) == 5


def test_a_kill_for_memory_is_no_transient_error() -> None:
    line = "ERROR: failed to reproduce 'train@gru': failed to run: python -m x, exited with {}"
    for status in (137, -9):
        lines = [line.format(status)]
        assert type(error_of_program(lines, 255)) is TransientError
        assert type(error_of_program(lines, 255, memory_ran_out=True)) is RefrainError
    assert type(error_of_program([], -9, memory_ran_out=True)) is RefrainError
    for status in (143, 75):
        assert type(error_of_program([line.format(status)], 255, memory_ran_out=True)) is TransientError


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 300 MB of memory, where this machine lets us make one."""
    lines = Path("/proc/self/cgroup").read_text().splitlines() if sys.platform == "linux" else []
    names = [line.split(":", 2)[2] for line in lines if ":memory:" in line]
    if not names:
        pytest.skip("no control groups of version 1 here")
    folder = Path(f"/sys/fs/cgroup/memory{names[0]}/refrain-test-{os.getpid()}")
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text("300M")
    except OSError:
        pytest.skip("this user may make no control group")
    yield folder
    folder.rmdir()


@pytest.mark.slow
def test_the_kernels_kill_is_told_from_another(small_group: Path, project: Project) -> None:
    (project.folder / "dvc.yaml").write_text(
        "stages:\n  big:\n    cmd: python -c 'bytearray(900_000_000)'\n  killed:\n    cmd: kill -9 $$\n"
    )
    code = f"""
import os
from pathlib import Path
from flows.workspace.programs import Programs
from pipeline.errors import RefrainError
Path("{small_group}/cgroup.procs").write_text(str(os.getpid()))
for stage in ("big", "killed"):
    try:
        Programs(Path.cwd()).dvc("repro", "--single-item", stage, on_line=len)
    except RefrainError as error:
        print(type(error).__name__, error)
"""
    big, killed = project.run("python", "-c", code).stdout.splitlines()
    assert big.startswith("RefrainError killed, because this machine's memory ran out: ")
    assert killed.startswith("TransientError ")
