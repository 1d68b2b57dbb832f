"""Stages placed on work pools: run by workers on other machines, over DVC's remote.

Here a stage's order goes out and its results come in (:mod:`flows.parcel`); :mod:`flows.stage` is the other
side.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, WorkerStatus
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.input import create_flow_run_input, read_flow_run_input
from prefect.runtime import flow_run
from prefect.states import Cancelling

from flows.dag import Stage
from flows.parcel import RESULTS, Order, Results, adopt, has_remote, read_workspace
from flows.repro import STOPPED, Outcome, Runner
from pipeline.errors import RefrainError

POLL_SECONDS = 1
LONELY_SECONDS = 15
"""After so long without a start it is said that no worker is there."""

Hear = Callable[[str], None]


def place(stages: Iterable[Stage], pools: Mapping[str, str]) -> dict[str, str]:
    """The pool of each stage that has one. ``pools`` goes by name (``train@gru``, ``train``) or label.

    Raises :class:`RefrainError` for what is neither.
    """
    stages = list(stages)
    names = {stage.name: [stage.name, stage.name.partition("@")[0], stage.label or ""] for stage in stages}
    known = {key for keys in names.values() for key in keys if key}
    for key in pools:
        if key not in known:
            raise RefrainError(
                f"pools: there is no stage or label {key!r}; there are {', '.join(sorted(known))}"
            )
    found = {name: [pools[key] for key in keys if key in pools] for name, keys in names.items()}
    return {name: given[0] for name, given in found.items() if given}


def check_pools(folder: Path, pools: Iterable[str]) -> None:
    """Raise :class:`RefrainError` now, and not at the first stage, if something is missing."""
    with get_client(sync_client=True) as client:
        for pool in sorted(set(pools)):
            try:
                client.read_deployment_by_name(f"stage/{pool}")
            except ObjectNotFound:
                raise RefrainError(
                    f"pools: the server has no deployment stage/{pool}: add it to prefect.yaml, `make deploy`"
                ) from None
    if not has_remote(folder):
        raise RefrainError(
            "pools: data go to other machines over DVC's remote, and there is none: dvc remote add --default"
        )


class Placed:
    """Runs stages of the DVC repository in ``folder`` by other machines' workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = Runner(folder, 1)
        self._runs: set[UUID] = set()
        self._lock = threading.Lock()
        self.stopped = False

    def repro(self, stage: Stage, pool: str, force: bool, hear: Hear) -> Outcome:
        """Send a stage to a pool, wait for its end, and take its results into the folder."""
        started = time.monotonic()
        if stage.upstream:
            sent = self._data.dvc(["push", *stage.upstream], {}, hear)
            if sent.error:
                return sent
        run = self._send(stage, pool, force)
        state = self._wait(run, pool, hear) if run else None
        if run is None or state is None:
            return STOPPED
        if not state.is_completed():
            may_pass = state.is_crashed() or bool(state.state_details.retriable)
            error = state.message or f"its run on pool {pool} ended as {state.name}"
            return Outcome(time.monotonic() - started, error=error, may_pass=may_pass)
        results = Results.model_validate(read_flow_run_input(RESULTS, flow_run_id=run))
        adopt(self.folder, stage.name, results)
        got = self._data.dvc(["pull", "--force", stage.name], {}, hear)
        return replace(got, seconds=time.monotonic() - started, cached=False, how=f"on pool {pool}")

    def stop(self) -> None:
        """Cancel what is placed, so that trainings write checkpoints where they run."""
        with self._lock:
            self.stopped = True
            runs = list(self._runs)
        self._data.stop()
        for run in runs:
            with suppress(PrefectException, HTTPError), get_client(sync_client=True) as client:
                client.set_flow_run_state(run, Cancelling())

    def _send(self, stage: Stage, pool: str, force: bool) -> UUID | None:
        """The flow run that will carry a stage out; None after :meth:`stop`."""
        revision, patch = read_workspace(self.folder)
        order = Order(stage=stage.name, upstream=stage.upstream, force=force, revision=revision, patch=patch)
        key = f"order-{uuid4()}"  # one for each try
        create_flow_run_input(key, order.model_dump(mode="json"), flow_run_id=UUID(flow_run.id))
        with self._lock:
            if self.stopped:
                return None
            run = run_deployment(
                f"stage/{pool}",
                parameters={"name": stage.name, "run": flow_run.id, "order": key},
                flow_run_name=stage.name,
                timeout=0,
            )
            assert isinstance(run, FlowRun)
            self._runs.add(run.id)
            return run.id

    def _wait(self, run: UUID, pool: str, hear: Hear) -> State[None] | None:
        """The state in which a flow run has ended; None after :meth:`stop`. Says if no worker is there."""
        lonely = time.monotonic() + LONELY_SECONDS
        with get_client(sync_client=True) as client:
            while not self.stopped:
                with suppress(HTTPError):  # a server that is away for a while: what is placed goes on
                    found = client.read_flow_run(run)
                    if found.state and found.state.is_final():
                        with self._lock:
                            self._runs.discard(run)
                        return found.state
                    if time.monotonic() > lonely:
                        lonely = math.inf
                        if found.start_time is None and not _has_worker(client, pool):
                            hear(f"pool {pool} has no worker yet: `make worker POOL={pool}` on its machine")
                time.sleep(POLL_SECONDS)
        return None


def _has_worker(client: SyncPrefectClient, pool: str) -> bool:
    return any(w.status == WorkerStatus.ONLINE for w in client.read_workers_for_work_pool(pool))
