"""All stages of a run, as task runs of the flow that calls this."""

from contextlib import chdir
from dataclasses import replace
from pathlib import Path

from prefect import get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.states import Completed

from flows.server.stage_log import StageLog
from flows.server.states import TASK_OPTIONS, error_of, states_from_errors
from flows.stages.graph import Stage, available_cores, read_stages, share_cores
from flows.stages.pools import assign_pools, check_pools
from flows.stages.remote import RemoteRunner
from flows.stages.runner import UNCHANGED, LocalRunner, StageRunner
from flows.workspace.git import run_git
from flows.workspace.programs import Programs
from flows.workspace.shared_ref import delete_left_refs, shared_remote
from pipeline.artifacts import archive_removed_models
from pipeline.dvc_files import check_dependency, remove_damaged_rwlock
from pipeline.errors import RefrainError, TransientError
from pipeline.params.load import PARAMS_FILE, load_params


def run_stages(
    folder: Path,
    targets: list[str],
    force: bool,
    max_parallel: int | None,
    pools: dict[str, str],
    branch: str | None = None,
) -> list[str]:
    """Run the stages of the DVC repository in ``folder`` that have to run, and return their names.

    They run side by side where DVC's graph allows it. The machines of ``pools`` share the git remote that
    ``branch`` follows (None: the branch that is checked out). Raises :class:`RefrainError` with all failures.
    """
    if max_parallel is not None and max_parallel < 1:
        raise RefrainError(f"max_parallel: {max_parallel} is wrong: it should be 1 or more")
    params = load_params(folder / PARAMS_FILE)
    prepare_folder(folder, params.corpus.path, pools)
    stages = read_stages(folder, targets, force)
    elsewhere = assign_pools(stages, pools)
    at_work = [replace(stage, to_run=stage.to_run and stage.name not in elsewhere) for stage in stages]
    max_parallel = max_parallel or available_cores()
    threads = share_cores(at_work, max_parallel, available_cores(), params.runtime.threads)
    local = LocalRunner(Programs(folder), threads, max_parallel, force)
    git_remote = (
        shared_remote(folder, branch or run_git(folder, "branch", "--show-current")) if pools else None
    )
    remote = RemoteRunner(Programs(folder), elsewhere, git_remote, force)
    try:
        states = submit_all(stages, {s.name: remote if s.name in elsewhere else local for s in stages})
    finally:
        remote.stop()  # first: it only tells the server
        local.stop()
    raise_failures(states)
    return [name for name, state in states.items() if state.name != "Cached"]


def prepare_folder(folder: Path, corpus: str, pools: dict[str, str]) -> None:
    """Remove what killed runs and removed models have left, and check what DVC and other machines need.

    Raises :class:`RefrainError` now, and not at the first stage, if something is wrong.
    """
    if pools:
        check_pools(folder, pools)
        # The stage report does this, too, but on another machine it would see that machine's folders.
        with chdir(folder):
            archive_removed_models(load_params().models)
    delete_left_refs(folder, warn=get_run_logger().warning)
    remove_damaged_rwlock(folder)
    if (folder / corpus).exists():
        check_dependency(folder, corpus)


def submit_all(stages: list[Stage], runners: dict[str, StageRunner]) -> dict[str, State[None]]:
    """Run stages as task runs, each after those that it needs, and return how they ended."""
    futures: dict[str, PrefectFuture[State[None]]] = {}
    for stage in stages:
        futures[stage.name] = run_stage.with_options(name=stage.name, task_run_name=stage.name).submit(
            stage,
            runners[stage.name],
            wait_for=[futures[name] for name in stage.upstream],
            return_state=False,
        )
    wait(list(futures.values()))
    return {name: future.state for name, future in futures.items()}


@task(**TASK_OPTIONS)
@states_from_errors
def run_stage(stage: Stage, runner: StageRunner) -> State[None]:
    """Run one stage by DVC, here or elsewhere; its output is this task run's log."""
    log = StageLog(stage.name)
    with log.progress() as variables:
        result = runner.run(stage, log.write_line, variables) if stage.to_run else UNCHANGED
    return Completed(name=None if result.is_new else "Cached", message=result.summary)


def raise_failures(states: dict[str, State[None]]) -> None:
    """Raise what failed as one error: a transient one if another try may help with all of it."""
    errors = {n: error_of(state) for n, state in states.items() if state.is_failed() or state.is_crashed()}
    if errors:
        is_transient = all(isinstance(error, TransientError) for error in errors.values())
        kind = TransientError if is_transient else RefrainError
        raise kind("; ".join(f"{name}: {error}" for name, error in errors.items()))
