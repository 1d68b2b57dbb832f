"""Memory of this machine: how much is free, and how many processes were killed because there was none."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class _Files:
    """Names of the files of a control group that limits memory. ``cache`` is a line of ``memory.stat``."""

    limit: str
    usage: str
    cache: str
    kills: str


_VERSION_1 = _Files(
    "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "memory.oom_control"
)
_VERSION_2 = _Files("memory.max", "memory.current", "inactive_file", "memory.events")


def free_memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """How many bytes this process can still get: of the machine, swap included, and of its control groups."""
    free: list[int] = [psutil.virtual_memory().available + psutil.swap_memory().free]
    for folder, files in _control_groups(proc, cgroups):
        with suppress(OSError, ValueError):  # no such file: the root group; "max": no limit
            limit, usage = (int((folder / name).read_text()) for name in (files.limit, files.usage))
            free.append(max(0, limit - usage + _counter(folder / "memory.stat", files.cache)))
    return min(free)


def kills_for_memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """How many processes the kernel has killed for lack of memory in this control group, or else in all."""
    for folder, files in _control_groups(proc, cgroups):
        with suppress(OSError):
            return _counter(folder / files.kills, "oom_kill")
    with suppress(OSError):
        return _counter(proc / "vmstat", "oom_kill")
    return 0  # not Linux


def _control_groups(proc: Path, cgroups: Path) -> Iterator[tuple[Path, _Files]]:
    """This process's control groups for memory, from the innermost to the outermost."""
    with suppress(OSError):
        for line in (proc / "self/cgroup").read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            top, files = (cgroups / "memory", _VERSION_1) if controllers else (cgroups, _VERSION_2)
            inner = top / name.lstrip("/")
            # In a container, the name may be that of the machine, and `top` be the container's own group.
            folders = [folder for folder in (inner, *inner.parents) if folder.is_relative_to(top)]
            yield from ((folder, files) for folder in folders if folder.is_dir())


def _counter(path: Path, name: str) -> int:
    """A number in a file with lines such as ``oom_kill 0``; 0 if there is no such line."""
    lines = (line.split() for line in path.read_text().splitlines())
    return next((int(line[1]) for line in lines if line[0] == name), 0)


def gigabytes(count: int) -> str:
    """A number of bytes, to read: ``12.9 GB``."""
    return f"{count / 1e9:,.1f} GB"
