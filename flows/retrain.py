"""What runs at night: refresh the texts, run the pipeline, and keep the result if the gate accepts it.

check out --> refresh --> stages --> gate --> commit --> dvc push --> git push

All of it happens in a worktree of its own (see :mod:`flows.workspace.worktrees`).
"""

import argparse
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.gate import outcome, read_gate, refusals
from flows.server.command_line import add_pool_option, run_as_program
from flows.server.publish import only_warn, publish_results
from flows.server.states import completed, states_from_errors, step
from flows.stages.listings import check_listings
from flows.stages.tasks import run_stages
from flows.workspace.comparison import compare
from flows.workspace.dvc_repo import has_remote, open_repo
from flows.workspace.git import run_git, upstream_of
from flows.workspace.programs import Programs
from flows.workspace.texts import copy_ignored_texts, refresh_catalog_texts
from flows.workspace.worktrees import BranchWorktree, branch_worktree, move_branch
from pipeline.errors import RefrainError, TransientError
from pipeline.evaluation.difference import Difference
from pipeline.params.load import PARAMS_FILE, load_params


@flow(name="retrain")
@states_from_errors
def retrain(
    branch: str = "main",
    push: bool = False,
    max_parallel: int | None = None,
    pools: dict[str, str] | None = None,
) -> State[None]:
    """Refresh, reproduce and commit ``branch`` of the repository in the current folder.

    If a model's held-out perplexity is shown to be worse than the last commit's, on the same text, by more
    than ``gate.max_regression`` of ``params.yaml``, the run fails and changes nothing. Otherwise the result
    is one commit on the branch; its data go to the default DVC remote, if there is one, and with ``push`` the
    commit goes to the branch's upstream. If nothing has changed, there is no commit. ``pools`` names work
    pools of other machines, as in the flow ``reproduce``.
    """
    with branch_worktree(Path.cwd(), branch) as tree:
        return retrain_in(tree, push, max_parallel, pools or {})


def retrain_in(
    tree: BranchWorktree, push: bool, max_parallel: int | None, pools: dict[str, str]
) -> State[None]:
    """All steps, in a worktree."""
    params = load_params(tree.path / PARAMS_FILE)
    max_regression = read_gate(params).max_regression
    check_out_data(tree)
    refresh_texts(tree, params.corpus.path)
    run_stages(tree.path, [], False, max_parallel, pools, tree.branch)
    is_changed = bool(run_git(tree.path, "status", "--porcelain"))
    if is_changed:
        commit_results(tree, check_gate(tree, max_regression))
    store_data(tree)
    if is_changed and push:
        push_commit(tree)  # before the branch moves: if its upstream refuses, later runs can still start
    if not is_changed:
        return completed([])
    move_branch(tree, run_git(tree.path, "rev-parse", "HEAD"))
    publish_results(tree.path, tree.base)
    return Completed(message=run_git(tree.path, "log", "-1", "--format=%h %s"))


@step("check out")
def check_out_data(tree: BranchWorktree) -> None:
    """Bring DVC's data to the worktree: from the cache, or from the remote where there is one.

    Stages make again what is missing in both. Raises :class:`RefrainError` for data that DVC would write
    elsewhere.
    """
    log = get_run_logger()
    command = "pull" if has_remote(tree.path) else "checkout"
    try:
        check_listings(tree.path)
    except TransientError as error:
        log.warning("no data were fetched, and stages will make them again: %s", error)
        return
    try:
        Programs(tree.path).dvc(command, "--allow-missing", on_line=log.info)
    except RefrainError as error:
        log.warning("some data are missing, and stages will make them again: %s", error)


@step("refresh")
def refresh_texts(tree: BranchWorktree, corpus: str) -> None:
    """Update imported data (``dvc import``, ``import-url``) and texts of the catalogue without a checksum.

    Texts that neither git nor DVC has are taken from the main checkout, or fetched.
    """
    log, programs = get_run_logger().info, Programs(tree.path)
    with open_repo(tree.path) as repo:
        imports = [stage.path_in_repo for stage in repo.index.stages if stage.is_import]
    if imports:
        programs.dvc("update", "--", *imports, on_line=log)
    copy_ignored_texts(tree.path, tree.main, corpus)
    refresh_catalog_texts(tree.path, corpus, programs, log)


@step("gate")
def check_gate(tree: BranchWorktree, max_regression: float) -> list[Difference]:
    """Show how the models compare with the last accepted ones, on the same text.

    Raises :class:`RefrainError` with the reasons if they are refused.
    """
    comparisons = compare(tree.path, tree.base)
    rows = [
        {**pair.cells(), "note": pair.note, "outcome": outcome(pair, max_regression)} for pair in comparisons
    ]
    with only_warn():
        create_table_artifact(rows, key="gate", description=f"at most {max_regression:.2%} worse is accepted")
    for pair in comparisons:
        if outcome(pair, max_regression) == "inconclusive":
            get_run_logger().warning("inconclusive, and accepted: %s", pair)
    reasons = refusals(comparisons, max_regression)
    if reasons:
        raise RefrainError("; ".join(reasons))
    return comparisons


@step("commit")
def commit_results(tree: BranchWorktree, comparisons: list[Difference]) -> None:
    """Commit what the run changed; the message states the change in perplexity."""
    # Each model's last held-out split: the test split where there is one.
    change = {
        pair.model: f"{pair.model} {pair.status if pair.change is None else f'{pair.change:+.2%}'}"
        for pair in comparisons
    }
    run_git(tree.path, "add", "--all")
    subject = f"Retrain: perplexity {', '.join(change.values())}"
    run_git(tree.path, "commit", "--quiet", "-m", subject, "-m", "\n".join(map(str, comparisons)))


@step("dvc push")
def store_data(tree: BranchWorktree) -> None:
    """Send data to the default DVC remote, if there is one."""
    if has_remote(tree.path):
        Programs(tree.path).dvc("push", on_line=get_run_logger().info)


@step("git push")
def push_commit(tree: BranchWorktree) -> None:
    """Send the worktree's commit to the branch's upstream."""
    upstream = upstream_of(tree.main, tree.branch)
    if not upstream:
        raise RefrainError(f"push: branch {tree.branch} has no upstream: git push -u REMOTE {tree.branch}")
    remote, name = upstream
    run_git(tree.path, "push", "--quiet", remote, f"HEAD:refs/heads/{name}")


def main() -> None:
    """Run the flow from the command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.retrain", description=__doc__)
    parser.add_argument("--branch", default="main", help="branch to run and commit to (main)")
    parser.add_argument("--push", action="store_true", help="git push to the branch's upstream")
    parser.add_argument("--max-parallel", type=int, help="stages that may run at a time (one per core)")
    add_pool_option(parser)
    run_as_program(retrain, parser)


if __name__ == "__main__":
    main()
