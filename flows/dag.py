"""The graph of stages, as DVC's own index has it.

build_vocab --> encode_corpus --> train@rnn --+--> evaluate --+
                             `--> train@gru --+--> generate --+--> report
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
from dvc.dvcfile import PROJECT_FILE
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc.stage import Stage as DvcStage

from pipeline.errors import RefrainError, first_line


@dataclass(frozen=True)
class Stage:
    """A DVC stage: its name, the stages it needs, and whether it or one of these has changed.

    ``label`` is that of its ``meta`` in ``dvc.yaml``.
    """

    name: str
    upstream: tuple[str, ...]
    to_run: bool
    label: str | None = None

    @property
    def keys(self) -> list[str]:
        """What a mapping of pools may call it: ``train@gru``, ``train``, ``training``."""
        names = [self.name, self.name.partition("@")[0], self.label]
        return [name for name in names if name]


def read_stages(folder: Path, targets: Sequence[str] = (), force: bool = False) -> list[Stage]:
    """The stages of a DVC repository that ``targets`` (none: all) need, each after those it needs.

    Raises :class:`RefrainError` for what DVC finds wrong: no such target, a mistake in ``dvc.yaml``.
    """
    try:
        with Repo(str(folder), _wait_for_lock=True) as repo, repo.lock:
            graph = _needed(repo, targets)
            stages: dict[str, Stage] = {}
            for node in reversed(list(nx.topological_sort(graph))):
                name, upstream = _name(node), tuple(sorted(map(_name, graph.successors(node))))
                to_run = force or any(stages[needed].to_run for needed in upstream) or _changed(node)
                stages[name] = _stage(node, upstream, to_run)
            return list(stages.values())
    except DvcException as error:
        raise RefrainError(f"{folder}: {first_line(error)}") from None


def _needed(repo: Repo, targets: Sequence[str]) -> "nx.DiGraph[DvcStage]":
    """DVC's graph, in which edges go from a stage to those it needs, without what no target needs."""
    graph = repo.index.graph
    stages = {_name(stage): stage for stage in graph}
    # Without targets the folder's own pipeline, as `dvc repro` has it, and not those of folders below.
    wanted = set() if targets else {stage for stage in graph if stage.path_in_repo == PROJECT_FILE}
    for target in targets:
        # `train` stands for train@rnn, train@gru and so on.
        found = {stage for name, stage in stages.items() if target in (name, name.partition("@")[0])}
        if not found:
            raise RefrainError(f"targets: there is no stage {target!r}; there are {', '.join(stages)}")
        wanted |= found
    return graph.subgraph(wanted.union(*(nx.descendants(graph, stage) for stage in wanted)))


def all_keys(folder: Path) -> set[str]:
    """All that a mapping of pools may call a repository's stages."""
    with Repo(str(folder)) as repo:
        return {key for node in repo.index.graph for key in _stage(node, (), to_run=False).keys}


def has_changed(folder: Path, name: str) -> bool:
    """Whether DVC would run a stage now."""
    with Repo(str(folder), _wait_for_lock=True) as repo, repo.lock:
        return _changed(find_stage(repo, name))


def has_remote(folder: Path) -> bool:
    """Whether a default DVC remote is configured."""
    with Repo(str(folder)) as repo:
        return bool(repo.config["core"].get("remote"))


def find_stage(repo: Repo, name: str) -> DvcStage:
    """The stage of that name, as DVC has it."""
    return next(stage for stage in repo.index.graph if _name(stage) == name)


def _stage(node: DvcStage, upstream: tuple[str, ...], to_run: bool) -> Stage:
    return Stage(_name(node), upstream, to_run, (node.meta or {}).get("label"))


def _name(stage: DvcStage) -> str:
    """What DVC's commands call a stage in the repository's folder, whatever the current one is."""
    if not isinstance(stage, PipelineStage):
        return str(stage.path_in_repo)
    return str(stage.name) if stage.path_in_repo == PROJECT_FILE else f"{stage.path_in_repo}:{stage.name}"


def _changed(stage: DvcStage) -> bool:
    try:
        return bool(stage.changed())
    except LockError:  # another DVC runs it just now: its task will wait
        return True


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_each(stages: Iterable[Stage], max_parallel: int, cores: int) -> dict[str, int]:
    """CPU threads for each stage, so that stages which run at the same time share ``cores``.

    Stages as many steps from the graph's beginning may do so; those that have nothing to do need none.
    """
    level: dict[str, int] = {}
    busy: dict[int, int] = {}
    for stage in stages:
        level[stage.name] = 1 + max((level[name] for name in stage.upstream), default=0)
        busy[level[stage.name]] = busy.get(level[stage.name], 0) + stage.to_run
    return {
        name: max(1, cores // max(1, min(busy[depth], max_parallel, cores))) for name, depth in level.items()
    }
