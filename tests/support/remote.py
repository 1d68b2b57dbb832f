"""Runs whose stages are on work pools, and what they leave on the server and in git."""

from collections.abc import Callable
from typing import Any

from tests.support.prefect import Api, run_flow
from tests.support.project import Project


def reproduce_gru(home: Project, *arguments: str) -> Any:
    return run_flow(home, "reproduce", "train@gru", "--pool", "training=gpu", *arguments)


def refs(project: Project) -> str:
    """Refs of runs that a repository still has."""
    return project.run("git", "for-each-ref", "refs/refrain").stdout


def runs_on_pools(api: Api, before: set[str], name: str = "train@gru") -> list[dict[str, Any]]:
    """Flow runs of a stage, the newest first, without those of ``before``."""
    return [run for run in api.flow_runs() if run["id"] not in before and run["name"] == name]


def known_runs(api: Api) -> set[str]:
    return {run["id"] for run in api.flow_runs()}


def logged(api: Api, before: set[str], text: str) -> Callable[[], bool]:
    """Whether a flow run of the GRU's training has logged a text."""
    return lambda: any(text in line for run in runs_on_pools(api, before) for line in api.logs(run["id"]))
