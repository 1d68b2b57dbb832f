"""DVC's experiments: what each has changed against the commit that it comes from, and its figures."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline import artifacts
from pipeline.errors import RefrainError, first_line
from pipeline.evaluation.causes import causes
from pipeline.params.corpus import HELD_OUT
from pipeline.revisions import WORKSPACE, Revision, models_of

if TYPE_CHECKING:
    from dvc.repo.experiments.serialize import ExpRange, ExpState

Kind = Literal["workspace", "commit", "experiment", "running", "queued", "failed"]


@dataclass(frozen=True)
class Run:
    """The workspace, a commit, or an experiment: one that has finished, or is running, queued or failed.

    ``changed`` says what differs from ``commit``, as :func:`causes` does; a commit has changed nothing.
    ``figures`` are :func:`figures_of` it. If DVC has lost those of a commit, they are :func:`figures_in_git`.
    Experiments that have not finished have none.
    """

    kind: Kind
    name: str
    commit: str
    changed: dict[str, list[str]]
    figures: dict[str, dict[str, Any]]


def list_runs() -> list[Run]:
    """The workspace, the last commit with its experiments, and other commits with theirs."""
    commits = _commits()
    head = Revision(commits[0].rev)
    workspace = Revision(WORKSPACE)
    found = [Run("workspace", WORKSPACE, head.name, causes(head, workspace), figures_of(workspace))]
    for state in commits:
        commit = Revision(state.rev)
        figures = figures_of(commit) or figures_in_git(commit)
        found.append(Run("commit", state.name or state.rev[:7], state.rev, {}, figures))
        found += (_experiment(commit, experiment) for experiment in state.experiments or [])
    return found


def _commits() -> "list[ExpState]":
    """The last commit, and other commits that have experiments, the latest first, with their experiments."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            others = sorted(
                repo.experiments.ls(all_commits=True),
                key=lambda rev: repo.scm.resolve_commit(rev).commit_time,
                reverse=True,
            )
            found: list[ExpState] = repo.experiments.show(["HEAD", *others], hide_workspace=True)
    except DvcException as error:
        raise RefrainError(first_line(error)) from None
    if not found:
        raise RefrainError("git has no commit yet: commit your results first")
    return found


def _experiment(commit: Revision, found: "ExpRange") -> Run:
    last = found.revs[0]
    revision = Revision(last.rev)
    kind: Kind = "experiment"
    if found.executor and found.executor.state != "success":
        kind = found.executor.state
    figures = figures_of(revision) if kind == "experiment" else {}
    return Run(kind, last.name or last.rev[:7], commit.name, causes(commit, revision), figures)


def figures_of(revision: Revision) -> dict[str, dict[str, Any]]:
    """The figures of each model by held-out split, as the stage evaluate has written them.

    They are not those of ``reports/metrics.json``: `refrain spread` makes experiments without a report.
    """
    figures = {
        model: revision.read_json(artifacts.evaluation_path(model)).get("splits", {})
        for model in models_of(revision)
    }
    return {
        model: {split: by_split[split] for split in HELD_OUT if split in by_split}
        for model, by_split in figures.items()
        if by_split
    }


def figures_in_git(revision: Revision) -> dict[str, dict[str, Any]]:
    """The perplexity of each model by held-out split, without an interval."""
    return {
        model: {split: {"perplexity": by_split[split]} for split in HELD_OUT if split in by_split}
        for model, by_split in revision.read_json(artifacts.PERPLEXITY).items()
    }
