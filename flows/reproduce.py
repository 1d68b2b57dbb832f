"""The pipeline as a Prefect flow: one task run for each DVC stage, side by side where DVC's graph allows.

Run as a program (``python -m flows.reproduce``) it needs no server; with PREFECT_API_URL it reports there.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, StateDetails
from prefect.futures import PrefectFuture, wait
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Completed, Failed
from prefect.tasks import exponential_backoff

from flows import results
from flows.dag import Stage, cores, read_stages, threads_each
from flows.experiment import overridden, text_not_in_git
from flows.listener import Listener
from flows.pools import Placed, check_pools, place
from flows.repro import Hear, Outcome, Runner
from flows.server import temporary_server
from pipeline.artifacts import archive_removed_models
from pipeline.errors import RefrainError
from pipeline.params.load import PARAMS_FILE, load_params

Repro = Callable[[Stage, Hear], Outcome]
"""Runs a stage, and passes its output on line by line."""


@flow(name="reproduce")
def reproduce(
    targets: list[str] | None = None,
    force: bool = False,
    max_parallel: int | None = None,
    set_params: list[str] | None = None,
    compare_to: str = "HEAD",
    pools: dict[str, str] | None = None,
) -> State[None]:
    """Run what has changed of the pipeline in the current folder.

    ``targets`` are stages (``train``, ``train@gru``; none: all) and ``force`` runs them unchanged, too. At
    most ``max_parallel`` stages (none: one per core) run at a time and share the cores. ``set_params``
    (``models.gru.hidden_size=512``) runs all of it as a DVC experiment instead, and leaves the workspace as
    it is. The figures are shown beside those of the revision ``compare_to``. ``pools`` places stages on other
    machines' work pools, by label or name (``{"training": "gpu", "train@rnn": "cpu"}``).
    """
    folder = Path.cwd()
    try:
        load_params(folder / PARAMS_FILE)
        if compare_to != "HEAD":
            results.check_revision(folder, compare_to)
        if set_params:
            if targets or force or pools:
                raise RefrainError(
                    "set_params runs the whole pipeline here: leave targets, force and pools out"
                )
            return run_experiment(folder, set_params, compare_to)
        state = run_stages(folder, targets or [], force, max_parallel, pools or {})
        if state.is_completed():
            results.publish(folder, compare_to)
            results.link_report(folder)
    except RefrainError as error:
        return Failed(message=str(error))
    return state


def run_stages(
    folder: Path, targets: list[str], force: bool, max_parallel: int | None, pools: dict[str, str]
) -> State[None]:
    """Run the stages of a DVC repository as tasks of the flow that calls this."""
    if max_parallel is not None and max_parallel < 1:
        raise RefrainError(f"max_parallel: {max_parallel} is wrong: it should be 1 or more")
    most = max_parallel or cores()
    stages = read_stages(folder, targets, force)
    placed = place(stages, pools)
    if pools:
        check_pools(folder, pools)
        with chdir(folder):
            archive_removed_models(load_params().models)  # as stages that look at models do where they run
    at_work = [replace(stage, to_run=stage.to_run and stage.name not in placed) for stage in stages]
    threads = threads_each(at_work, most, cores())
    here, elsewhere = Runner(folder, most), Placed(folder)

    def repro(stage: Stage, hear: Hear) -> Outcome:
        if stage.name in placed:
            return elsewhere.repro(stage, placed[stage.name], force, hear)
        return here.repro(stage.name, threads[stage.name], force, hear)

    futures: dict[str, PrefectFuture[State[None]]] = {}
    try:
        for stage in stages:
            futures[stage.name] = run_stage.with_options(name=stage.name, task_run_name=stage.name).submit(
                stage,
                repro,
                wait_for=[futures[name] for name in stage.upstream],
                return_state=False,
            )
        wait(list(futures.values()))
    finally:
        try:
            elsewhere.stop()
        finally:
            here.stop()
    return summary({name: future.state for name, future in futures.items()})


def another_try_may_help(_task: object, _run: object, state: State[None]) -> bool:
    """Whether a failed stage is worth another try: not so with wrong parameters."""
    return bool(state.state_details.retriable)


@task(
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=exponential_backoff(2),
    retry_jitter_factor=1,
    retry_condition_fn=another_try_may_help,
)
def run_stage(stage: Stage, repro: Repro) -> State[None]:
    """Run one stage by DVC, here or elsewhere; its output is this task run's log."""
    if not stage.to_run:
        return Completed(name="Cached", message="nothing that it depends on has changed")
    hear = Listener(stage.name)
    outcome = repro(stage, hear.line)
    if outcome.stopped:
        return Cancelled(message="stopped; the next run goes on from the last checkpoint")
    if outcome.error is not None:
        return Failed(message=outcome.error, state_details=StateDetails(retriable=outcome.may_pass))
    hear.finish()
    if outcome.cached:
        return Completed(name="Cached", message="nothing that it depends on has changed")
    return Completed(message=f"ran in {outcome.seconds:.1f} s {outcome.how}")


def summary(states: dict[str, State[None]]) -> State[None]:
    """The state of the whole run, from those of its stages."""
    failed = {
        name: state.message for name, state in states.items() if state.is_failed() or state.is_crashed()
    }
    if failed:
        return Failed(message="; ".join(f"{name}: {message}" for name, message in failed.items()))
    ran = [name for name, state in states.items() if state.name != "Cached"]
    if not ran:
        return Completed(name="Cached", message="nothing has changed")
    return Completed(message=f"ran {', '.join(ran)}")


def run_experiment(folder: Path, set_params: list[str], compare_to: str) -> State[None]:
    """Run the pipeline with other parameters, as a DVC experiment in a folder of its own."""
    text = text_not_in_git(folder, overridden(folder / PARAMS_FILE, set_params).corpus.path)
    runner = Runner(folder, 1)
    try:
        future = experiment.submit(set_params, text, runner)
        future.wait()
    finally:
        runner.stop()
    if future.state.is_completed():
        name = str(future.result())
        results.publish_changes(folder, compare_to, name)
        return Completed(message=f"experiment {name}: `dvc exp show`, `dvc exp apply {name}`")
    return Failed(message=future.state.message)


@task(name="experiment", cache_policy=NO_CACHE)
def experiment(set_params: list[str], text: list[str], runner: Runner) -> str | State[None]:
    """Run ``dvc exp run --temp`` and return the experiment's name."""
    name = f"flow-{str(flow_run.id)[-12:]}"
    overrides = [argument for override in set_params for argument in ("--set-param", override)]
    hear = Listener("experiment")
    command = ["exp", "run", "--temp", "--name", name, *overrides, *text]
    outcome = runner.dvc(command, {}, hear.line)
    return Failed(message=outcome.error) if outcome.error else name


def add_pools(parser: argparse.ArgumentParser) -> None:
    """The option that places stages on pools; it gives a mapping."""

    class Add(argparse.Action):
        def __call__(self, _: object, namespace: argparse.Namespace, value: Any, *__: object) -> None:
            key, equals, pool = value.partition("=")
            if not (key and equals and pool):
                parser.error(f"--pool {value}: it should be LABEL=POOL")
            if not PREFECT_API_URL.value():
                parser.error("--pool: set PREFECT_API_URL to the server that the pools' workers ask")
            namespace.pools = {**(namespace.pools or {}), key: pool}

    text = "run stages of this label or name on that work pool"
    parser.add_argument("--pool", action=Add, dest="pools", metavar="LABEL=POOL", help=text)


def main() -> None:
    """Run the flow from the command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.reproduce", description=__doc__)
    parser.add_argument("targets", nargs="*", help="stages (all)")
    parser.add_argument("--force", action="store_true", help="run unchanged stages, too")
    parser.add_argument("--max-parallel", type=int, help="stages that may run at a time (one per core)")
    parser.add_argument("-S", "--set-param", action="append", dest="set_params", metavar="KEY=VALUE")
    parser.add_argument("--compare-to", default="HEAD", help="revision to show differences to (HEAD)")
    add_pools(parser)
    arguments = parser.parse_args()
    temporary_server()
    state = reproduce(**vars(arguments), return_state=True)
    if not state.is_completed():
        sys.exit(f"error: {state.message}")


if __name__ == "__main__":
    main()
