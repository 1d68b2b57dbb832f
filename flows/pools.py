"""Stages placed on work pools: run by workers on other machines, over DVC's remote.

Here a stage's order goes out and its results come in (:mod:`flows.parcel`); :mod:`flows.stage` is the other
side.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, WorkerStatus
from prefect.deployments import run_deployment
from prefect.events.filters import (
    EventFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventResourceFilter,
)
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.input import create_flow_run_input, delete_flow_run_input, read_flow_run_input
from prefect.runtime import flow_run
from prefect.states import Cancelling, Crashed

from flows.dag import Stage, all_keys, has_changed, has_remote
from flows.parcel import RESULTS, Order, Results, adopt, read_workspace
from flows.repro import STOPPED, Hear, Outcome, Runner
from pipeline.errors import RefrainError, first_line

POLL_SECONDS = 1

LOOK_SECONDS = 15
"""How often it is asked whether a pool has a worker, and whether what it has begun still lives."""

LATELY_SECONDS = 60
"""Two heartbeats of a flow run (pyproject.toml)."""

GONE_SECONDS = 150
"""What has begun and given no heartbeat for so long is taken to be lost."""


def place(stages: Iterable[Stage], pools: Mapping[str, str]) -> dict[str, str]:
    """The pool of each stage that has one, by its name (``train@gru``, then ``train``) or else its label."""
    found = {stage.name: [pools[key] for key in stage.keys if key in pools] for stage in stages}
    return {name: given[0] for name, given in found.items() if given}


def check_pools(folder: Path, pools: Mapping[str, str]) -> None:
    """Raise :class:`RefrainError` now, and not at the first stage, if something is wrong or missing."""
    known = all_keys(folder)
    for key in pools:
        if key not in known:
            raise RefrainError(
                f"pools: there is no stage or label {key!r}; there are {', '.join(sorted(known))}"
            )
    with get_client(sync_client=True) as client:
        for pool in sorted(set(pools.values())):
            try:
                found = client.read_deployment_by_name(f"stage/{pool}").work_pool_name
            except ObjectNotFound:
                found = None
            if found != pool:
                raise RefrainError(
                    f"pools: the server has no deployment stage/{pool} on a pool {pool}: add it to "
                    f"prefect.yaml, then `make deploy POOLS={pool}`"
                )
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
        self._taken: set[str] = set()  # stages whose results are here, but perhaps not yet their data
        self._lock = threading.Lock()
        self.stopped = False

    def repro(self, stage: Stage, pool: str, force: bool, hear: Hear) -> Outcome:
        """Send a stage to a pool, wait for its end, and take its results into the folder."""
        started = time.monotonic()
        try:
            if stage.name not in self._taken:
                if not force and not has_changed(self.folder, stage.name):
                    return Outcome(time.monotonic() - started, cached=True)
                ran = self._run(stage, pool, force, hear)
                if ran.error:
                    return ran
            got = self._data.dvc(["pull", "--force", stage.name], {}, hear)
            return replace(got, seconds=time.monotonic() - started, cached=False, how=f"on pool {pool}")
        except RefrainError as error:
            return Outcome(time.monotonic() - started, error=str(error))
        except (HTTPError, PrefectException) as error:
            where = f"pool {pool}: {type(error).__name__}: {first_line(error)}"
            return Outcome(time.monotonic() - started, error=where, may_pass=True)

    def stop(self) -> None:
        """Cancel what is placed, so that trainings write checkpoints where they run."""
        with self._lock:
            self.stopped = True
            runs = list(self._runs)
        for run in runs:
            _cancel(run)
        self._data.stop()

    def _run(self, stage: Stage, pool: str, force: bool, hear: Hear) -> Outcome:
        if stage.upstream:
            sent = self._data.dvc(["push", *stage.upstream], {}, hear)
            if sent.error:
                return sent
        order = f"order-{uuid4()}"  # one for each try
        run = self._send(stage, pool, force, order)
        hear(f"{stage.name}: sent to pool {pool}")
        state = self._wait(run, pool, hear) if run else None
        if run is None or state is None:
            return STOPPED
        with suppress(HTTPError, PrefectException):
            delete_flow_run_input(order, flow_run_id=UUID(flow_run.id))
        if not state.is_completed():
            may_pass = state.is_crashed() or bool(state.state_details.retriable)
            error = state.message or f"its run on pool {pool} ended as {state.name}"
            return Outcome(0, error=error, may_pass=may_pass)
        adopt(self.folder, stage.name, Results.model_validate(read_flow_run_input(RESULTS, flow_run_id=run)))
        self._taken.add(stage.name)
        return Outcome(0)

    def _send(self, stage: Stage, pool: str, force: bool, key: str) -> UUID | None:
        """The flow run that will carry a stage out; None after :meth:`stop`."""
        revision, patch = read_workspace(self.folder)
        order = Order(stage=stage.name, upstream=stage.upstream, force=force, revision=revision, patch=patch)
        create_flow_run_input(key, order.model_dump(mode="json"), flow_run_id=UUID(flow_run.id))
        with self._lock:
            if self.stopped:
                return None
            run = run_deployment(
                f"stage/{pool}",
                parameters={"run": flow_run.id, "order": key},
                flow_run_name=stage.name,
                timeout=0,
            )
            assert isinstance(run, FlowRun)
            self._runs.add(run.id)
            return run.id

    def _wait(self, run: UUID, pool: str, hear: Hear) -> State[None] | None:
        """The state in which a flow run has ended; None after :meth:`stop`. Says if no worker is there."""
        seen = looked = time.monotonic()
        with get_client(sync_client=True) as client:
            while not self.stopped:
                now = time.monotonic()
                try:
                    found = client.read_flow_run(run)
                    if found.state and found.state.is_final():
                        self._runs.discard(run)
                        return found.state
                    if now - looked > LOOK_SECONDS:
                        looked = now
                        if found.state and found.state.is_scheduled():
                            seen = now
                            if not _has_worker(client, pool):
                                hear(f"pool {pool} has no worker: `make worker POOL={pool}` on its machine")
                        elif _has_heartbeat(client, run):
                            seen = now
                        elif now - seen > GONE_SECONDS:
                            lost: State[None] = Crashed(message=f"pool {pool}: what ran it is gone")
                            client.set_flow_run_state(run, lost, force=True)
                            self._runs.discard(run)
                            return lost
                except HTTPError:  # a server that is away for a while: what is placed goes on
                    seen = now
                time.sleep(POLL_SECONDS)
        return None


def _cancel(run: UUID) -> None:
    with suppress(PrefectException, HTTPError), get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Cancelling())


def _has_worker(client: SyncPrefectClient, pool: str) -> bool:
    return any(w.status == WorkerStatus.ONLINE for w in client.read_workers_for_work_pool(pool))


def _has_heartbeat(client: SyncPrefectClient, run: UUID) -> bool:
    """Whether a flow run has lately given a sign of life."""
    since = datetime.now(UTC) - timedelta(seconds=LATELY_SECONDS)
    heartbeats = EventFilter(
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run}"]),
        occurred=EventOccurredFilter.model_validate({"since": since}),
    )
    return bool(client.read_events(filter=heartbeats, limit=1).events)
