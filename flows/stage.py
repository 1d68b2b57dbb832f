"""A stage that a run on another machine has placed here, in the folder of this machine's worker.

    order --> worktree of the run's commit --> dvc pull --> dvc repro --> dvc push --> results

The other side is :mod:`flows.pools`.
"""

import time
from pathlib import Path
from uuid import UUID

from dvc.repo import Repo
from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State, StateDetails
from prefect.input import create_flow_run_input, read_flow_run_input
from prefect.states import Completed, Failed

from flows.dag import cores, find_stage
from flows.git import succeeds
from flows.listener import Listener
from flows.parcel import RESULTS, Order, collect, write_workspace
from flows.repro import Outcome, Runner
from flows.results import slug
from flows.texts import fetch_texts
from flows.worktree import alone, checked_out, root
from pipeline.errors import TransientError, RefrainError
from pipeline.params.load import PARAMS_FILE, load_params


@flow(name="stage")
def stage(run: UUID, order: str) -> State[None]:
    """Run the stage that the flow run ``run`` has ordered, under the key ``order`` of its inputs."""
    started = time.monotonic()
    try:
        outcome = carry_out(Path.cwd(), Order.model_validate(read_flow_run_input(order, flow_run_id=run)))
    except RefrainError as error:
        outcome = Outcome(0, error=str(error), may_pass=isinstance(error, TransientError))
    if outcome.error is not None:
        return Failed(message=outcome.error, state_details=StateDetails(retriable=outcome.may_pass))
    return Completed(message=f"ran and sent in {time.monotonic() - started:.1f} s")


def carry_out(folder: Path, order: Order) -> Outcome:
    """Run a stage in a worktree of the clone that holds ``folder``; leave the results with this flow run."""
    main, name, log = root(folder), f"refrain-{slug(order.stage)}", get_run_logger().info
    with alone(main, "refrain-fetch", wait=log):  # git fetches only once at a time
        have_commit(main, order.revision)
    with alone(main, name, wait=log), checked_out(main, name, order.revision) as tree:
        write_workspace(tree, order.patch)
        runner = Runner(tree, 1)
        try:
            outcome = work(tree, main, order, runner)
        finally:
            runner.stop()
        if outcome.error is None:
            create_flow_run_input(RESULTS, collect(tree, order.stage).model_dump(mode="json"))
        return outcome


def work(tree: Path, main: Path, order: Order, runner: Runner) -> Outcome:
    """Get what the stage needs, run it, send its data off."""
    hear = Listener(order.stage)
    if order.upstream:
        got = runner.dvc(["pull", "--force", *order.upstream], {}, hear.line)
        if got.error:
            return got
    corpus = load_params(tree / PARAMS_FILE).corpus.path
    with Repo(str(tree)) as repo:
        reads_text = any(dep.def_path == corpus for dep in find_stage(repo, order.stage).deps)
    if reads_text:
        fetch_texts(tree, main, corpus, hear.line)
    outcome = runner.repro(order.stage, cores(), order.force, hear.line)
    if outcome.error is None:
        hear.finish()
        outcome = runner.dvc(["push", order.stage], {}, hear.line)
    return outcome


def have_commit(main: Path, revision: str) -> None:
    """Fetch a commit if it is not there; :class:`RefrainError` if no remote has it."""
    if succeeds(main, "cat-file", "-e", f"{revision}^{{commit}}"):
        return
    reached = succeeds(main, "fetch", "--quiet", "--all")  # perhaps not all of them, but the one that has it
    if not succeeds(main, "cat-file", "-e", f"{revision}^{{commit}}"):
        text = f"commit {revision[:8]} is not known on this stage's machine, {main}"
        raise RefrainError(f"{text}: git push it") if reached else TransientError(f"{text}: git fetch failed")
