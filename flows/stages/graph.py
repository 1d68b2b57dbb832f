"""The graph of stages, as DVC's own index has it.

code --> build_vocab --> encode_corpus --> train@rnn --> evaluate@rnn, generate@rnn --+
                                      |`-> train@gru --> evaluate@gru, generate@gru --+--> report
                                      `--> baselines ---------------------------------+
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
from dvc.dvcfile import PROJECT_FILE
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc.stage import Stage as DvcStage

from flows.workspace.dvc_repo import open_repo
from pipeline.errors import RefrainError


@dataclass(frozen=True)
class Stage:
    """A DVC stage: its name, the stages whose outputs it reads, and whether it has to run.

    It has to run if it has changed, or if a stage upstream has to. ``label`` is that of its ``meta`` in
    ``dvc.yaml``.
    """

    name: str
    upstream: tuple[str, ...]
    to_run: bool
    label: str | None = None

    @property
    def keys(self) -> list[str]:
        """The names that a mapping of pools may use for it: ``train@gru``, ``train``, ``training``."""
        names = [self.name, self.name.partition("@")[0], self.label]
        return [name for name in names if name]


def read_stages(folder: Path, targets: Sequence[str] = (), force: bool = False) -> list[Stage]:
    """``targets`` (none: all stages) and all stages that they need. Each comes after those it needs.

    Raises :class:`RefrainError` for what DVC finds wrong: no such target, a mistake in ``dvc.yaml``.
    """
    with open_repo(folder, locked=True) as repo:
        graph = _needed(repo, targets)
        stages: dict[str, Stage] = {}
        for node in reversed(list(nx.topological_sort(graph))):
            upstream = _upstream(node, graph)
            to_run = force or any(stages[name].to_run for name in upstream) or _has_changed(node)
            stages[_name(node)] = Stage(_name(node), upstream, to_run, _label(node))
        return list(stages.values())


def read_stage(folder: Path, name: str) -> Stage:
    """One stage, to be run whether it has changed or not."""
    with open_repo(folder) as repo:
        node = find_stage(repo, name)
        return Stage(name, _upstream(node, repo.index.graph), True, _label(node))


def reads(folder: Path, name: str, path: str) -> bool:
    """Whether a stage has a dependency of that path, as ``dvc.yaml`` writes it."""
    with open_repo(folder) as repo:
        return any(dep.def_path == path for dep in find_stage(repo, name).deps)


def all_keys(folder: Path) -> set[str]:
    """All names that a mapping of pools may use for a repository's stages."""
    with open_repo(folder) as repo:
        return {key for node in repo.index.graph for key in Stage(_name(node), (), True, _label(node)).keys}


def has_changed(folder: Path, name: str) -> bool:
    """Whether DVC would run a stage now."""
    with open_repo(folder, locked=True) as repo:
        return _has_changed(find_stage(repo, name))


def find_stage(repo: Repo, name: str) -> DvcStage:
    """DVC's own stage of that name; :class:`RefrainError` if there is none."""
    for node in repo.index.graph:
        if _name(node) == name:
            return node
    raise RefrainError(f"there is no stage {name!r} in {repo.root_dir}: see `dvc stage list`")


def _needed(repo: Repo, targets: Sequence[str]) -> "nx.DiGraph[DvcStage]":
    """DVC's graph, reduced to what the targets need. Edges go from a stage to those it needs."""
    graph = repo.index.graph
    stages = {_name(node): node for node in graph}
    # Without targets the folder's own pipeline, as `dvc repro` has it, and not those of folders below.
    wanted = set() if targets else {node for node in graph if node.path_in_repo == PROJECT_FILE}
    for target in targets:
        # `train` stands for train@rnn, train@gru and so on.
        found = {node for name, node in stages.items() if target in (name, name.partition("@")[0])}
        if not found:
            raise RefrainError(f"targets: there is no stage {target!r}; there are {', '.join(stages)}")
        wanted |= found
    return graph.subgraph(wanted.union(*(nx.descendants(graph, node) for node in wanted)))


def _upstream(node: DvcStage, graph: "nx.DiGraph[DvcStage]") -> tuple[str, ...]:
    return tuple(sorted(map(_name, graph.successors(node))))


def _label(node: DvcStage) -> str | None:
    return (node.meta or {}).get("label")


def _name(node: DvcStage) -> str:
    """The name by which DVC's commands know a stage when they run in the repository's folder.

    Raises :class:`RefrainError` if they would take it for an option.
    """
    name = str(node.path_in_repo)
    if isinstance(node, PipelineStage):
        name = str(node.name) if name == PROJECT_FILE else f"{name}:{node.name}"
    if name.startswith("-"):
        raise RefrainError(f"stage {name!r}: its name begins with a dash, as options do: rename it")
    return name


def _has_changed(node: DvcStage) -> bool:
    try:
        return bool(node.changed())
    except LockError:  # another DVC command runs it just now: its task run will wait
        return True


def available_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_cores(
    stages: Iterable[Stage], max_parallel: int, cores: int, most: int | None = None
) -> dict[str, int]:
    """CPU threads for each stage, so that stages at the same depth of the graph share ``cores``.

    No stage gets more than ``most``.

    Stages at different depths may overlap for a while and then use more threads than there are cores. Stages
    with nothing to do need no core.
    """
    depth: dict[str, int] = {}
    running: dict[int, int] = {}
    for stage in stages:
        depth[stage.name] = 1 + max((depth[name] for name in stage.upstream), default=0)
        running[depth[stage.name]] = running.get(depth[stage.name], 0) + stage.to_run
    return {
        name: min(max(1, cores // max(1, min(running[level], max_parallel, cores))), most or cores)
        for name, level in depth.items()
    }
