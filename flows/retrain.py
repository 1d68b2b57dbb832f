"""What runs at night: refresh the texts, run the pipeline, and keep the result if it is no worse.

    refresh --> stages --> gate --> commit --> push

All of it happens in a worktree of its own (see :mod:`flows.worktree`).
"""

import argparse
import json
import sys
from pathlib import Path

from dvc.repo import Repo
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from prefect.tasks import exponential_backoff

from flows import results
from flows.dag import has_remote
from flows.gate import Comparison, compare, read_gate, refusals
from flows.git import git, succeeds
from flows.repro import Runner
from flows.reproduce import add_pools, run_stages
from flows.server import temporary_server
from flows.texts import fetch_texts
from flows.worktree import Tree, land, upstream, worktree
from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.params.load import PARAMS_FILE, load_params
from pipeline.reporting.tables import Metrics, format_perplexity, read_metrics


@flow(name="retrain")
def retrain(
    branch: str = "main",
    push: bool = False,
    max_parallel: int | None = None,
    pools: dict[str, str] | None = None,
) -> State[None]:
    """Refresh, reproduce and commit ``branch`` of the repository in the current folder.

    Models whose held-out perplexity is worse than the last commit's by more than ``gate.max_regression`` of
    ``params.yaml`` fail the run and change nothing. What is accepted is one commit on the branch; its data go
    to the default DVC remote, if one is configured, and with ``push`` the commit goes to the branch's
    upstream. ``pools`` places stages on other machines, as in the flow ``reproduce``.
    """
    try:
        with worktree(Path.cwd(), branch) as tree:
            return retrain_in(tree, push, max_parallel, pools or {})
    except RefrainError as error:
        return Failed(message=str(error))


def retrain_in(tree: Tree, push: bool, max_parallel: int | None, pools: dict[str, str]) -> State[None]:
    """All steps, in a worktree."""
    params = load_params(tree.path / PARAMS_FILE)
    check_out(tree)
    refresh(tree, params.corpus.path)
    state = run_stages(tree.path, [], force=False, max_parallel=max_parallel, pools=pools)
    if not state.is_completed():
        return state
    changed = bool(git(tree.path, "status", "--porcelain"))
    if changed:
        comparisons = compare(accepted_metrics(tree), read_metrics(tree.path / artifacts.METRICS))
        reasons = gate(comparisons, read_gate(params).max_regression)
        if reasons:
            return Failed(message="; ".join(reasons))
        commit_all(tree, comparisons)
    store(tree)
    if push:
        push_branch(tree)  # first: a branch that its upstream refuses would stop every later run
    if changed:
        land(tree, git(tree.path, "rev-parse", "HEAD"))
        results.publish(tree.path, tree.base)
    else:
        return Completed(name="Cached", message="nothing has changed")
    return Completed(message=git(tree.path, "log", "-1", "--format=%h %s"))


@task(name="check out", cache_policy=NO_CACHE)
def check_out(tree: Tree) -> None:
    """Bring DVC's data to the worktree: from the cache, or from the remote where there is one.

    What is nowhere is made again by the stages.
    """
    command = ["pull" if has_remote(tree.path) else "checkout", "--allow-missing"]
    outcome = Runner(tree.path, 1).dvc(command, {}, get_run_logger().info)
    if outcome.error:
        get_run_logger().warning("not all data are there, and stages will make them again: %s", outcome.error)


@task(cache_policy=NO_CACHE, retries=3, retry_delay_seconds=exponential_backoff(2), retry_jitter_factor=1)
def refresh(tree: Tree, corpus: str) -> None:
    """Update imported data (``dvc import``, ``import-url``) and texts of the catalogue without a checksum.

    A text of the catalogue that has a checksum and is not there yet is fetched, too; of a folder of texts,
    those that the main checkout has.
    """
    log = get_run_logger().info
    with Repo(str(tree.path)) as repo:
        imports = [stage.path_in_repo for stage in repo.index.stages if stage.is_import]
    if imports:
        _succeed(Runner(tree.path, 1).dvc(["update", *imports], {}, log).error)
    fetch_texts(tree.path, tree.main, corpus, log)


@task(cache_policy=NO_CACHE)
def gate(comparisons: list[Comparison], max_regression: float) -> list[str]:
    """Show how the models compare with the last accepted ones, and say why they are refused, if so."""
    rows = [
        {
            "model": pair.model,
            "split": pair.split,
            "accepted": "" if pair.before is None else format_perplexity(pair.before),
            "new": "" if pair.after is None else format_perplexity(pair.after),
        }
        for pair in comparisons
    ]
    create_table_artifact(rows, key="gate", description=f"at most {max_regression:.2%} worse is accepted")
    reasons = refusals(comparisons, max_regression)
    for reason in reasons:
        get_run_logger().error(reason)
    return reasons


@task(name="commit", cache_policy=NO_CACHE)
def commit_all(tree: Tree, comparisons: list[Comparison]) -> None:
    """Commit what the run changed; the message states the change in perplexity."""
    # Each model's last held-out split: the test split where there is one.
    change = {
        pair.model: f"{pair.model} {'new' if pair.before is None else f'{pair.change:+.2%}'}"
        for pair in comparisons
    }
    git(tree.path, "add", "--all")
    subject = f"Retrain: perplexity {', '.join(change.values())}"
    git(tree.path, "commit", "--quiet", "-m", subject, "-m", "\n".join(map(str, comparisons)))


@task(name="dvc push", cache_policy=NO_CACHE, retries=3, retry_delay_seconds=exponential_backoff(2))
def store(tree: Tree) -> None:
    """Send data to the default DVC remote, if there is one."""
    if has_remote(tree.path):
        _succeed(Runner(tree.path, 1).dvc(["push"], {}, get_run_logger().info).error)


@task(name="git push", cache_policy=NO_CACHE, retries=3, retry_delay_seconds=exponential_backoff(2))
def push_branch(tree: Tree) -> None:
    """Send the worktree's commit to the branch's upstream."""
    following = upstream(tree.main, tree.branch)
    if not following:
        raise RefrainError(f"push: branch {tree.branch} has no upstream: git push -u REMOTE {tree.branch}")
    remote, name = following
    git(tree.path, "push", "--quiet", remote, f"HEAD:refs/heads/{name}")


def accepted_metrics(tree: Tree) -> Metrics:
    """The metrics of the commit that the run started from; empty if it has none."""
    place = f"{tree.base}:{artifacts.METRICS}"
    return json.loads(git(tree.path, "show", place)) if succeeds(tree.path, "cat-file", "-e", place) else {}


def _succeed(error: str | None) -> None:
    if error:
        raise RefrainError(error)


def main() -> None:
    """Run the flow from the command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.retrain", description=__doc__)
    parser.add_argument("--branch", default="main", help="branch to run and commit to (main)")
    parser.add_argument("--push", action="store_true", help="git push to the branch's upstream")
    parser.add_argument("--max-parallel", type=int, help="stages that may run at a time (one per core)")
    add_pools(parser)
    arguments = parser.parse_args()
    temporary_server()
    state = retrain(**vars(arguments), return_state=True)
    if not state.is_completed():
        sys.exit(f"error: {state.message}")


if __name__ == "__main__":
    main()
