"""Flow runs on work pools: started, waited for, cancelled."""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

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
from prefect.exceptions import PrefectException
from prefect.states import Cancelling, Crashed

from flows.workspace.programs import OnLine, Stopped

POLL_SECONDS = 1

CHECK_SECONDS = 15
"""How often to check that a pool has a worker, and that a flow run which has begun still lives."""

RECENT_SECONDS = 60
"""Two heartbeats of a flow run (pyproject.toml)."""

LOST_SECONDS = 150
"""A flow run that has started counts as lost after so long without a heartbeat."""


class PoolRuns:
    """The flow runs that a run has started on work pools."""

    def __init__(self) -> None:
        self._running: set[UUID] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def run(self, pool: str, name: str, parameters: Mapping[str, Any], on_line: OnLine) -> State[Any]:
        """Run the deployment ``stage/{pool}`` as a flow run called ``name``, and return its final state.

        Raises :class:`Stopped` after :meth:`cancel_all`.
        """
        with self._lock:
            if self._stopped.is_set():
                raise Stopped
            run = run_deployment(f"stage/{pool}", parameters=dict(parameters), flow_run_name=name, timeout=0)
            assert isinstance(run, FlowRun)
            self._running.add(run.id)
        on_line(f"{name}: sent to pool {pool}")
        state = self._wait(run.id, pool, on_line)
        with self._lock:
            self._running.discard(run.id)
        return state

    def cancel_all(self) -> None:
        """Cancel what runs, and start nothing more."""
        with self._lock:
            self._stopped.set()
            running = list(self._running)
        for run in running:
            with suppress(PrefectException, HTTPError), get_client(sync_client=True) as client:
                client.set_flow_run_state(run, Cancelling())

    def _wait(self, run: UUID, pool: str, on_line: OnLine) -> State[Any]:
        with get_client(sync_client=True) as client:
            watch = Watch(client, run, pool, on_line)
            while not self._stopped.wait(POLL_SECONDS):
                state = watch.final_state()
                if state:
                    return state
        raise Stopped


class Watch:
    """Watches one flow run. Says if its pool has no worker, and ends a lost run."""

    def __init__(self, client: SyncPrefectClient, run: UUID, pool: str, on_line: OnLine) -> None:
        self._client = client
        self._run = run
        self._pool = pool
        self._on_line = on_line
        self._last_sign = self._last_check = time.monotonic()

    def final_state(self) -> State[Any] | None:
        """The state in which the flow run has ended; None while it has not."""
        try:
            state = self._client.read_flow_run(self._run).state
            if state is None or state.is_final():
                return state
            if time.monotonic() - self._last_check < CHECK_SECONDS:
                return None
            self._last_check = time.monotonic()
            if state.is_scheduled():
                self._check_worker()
                return None
            return self._check_heartbeat()
        except HTTPError:  # a server that is away for a while: the flow run goes on
            self._last_sign = time.monotonic()
            return None

    def _check_worker(self) -> None:
        self._last_sign = time.monotonic()
        workers = self._client.read_workers_for_work_pool(self._pool)
        if not any(worker.status == WorkerStatus.ONLINE for worker in workers):
            self._on_line(f"pool {self._pool} has no worker: `make worker POOL={self._pool}` on its machine")

    def _check_heartbeat(self) -> State[Any] | None:
        """Return Crashed, and tell the server, if heartbeats have been missing for too long."""
        if self._has_heartbeat():
            self._last_sign = time.monotonic()
        if time.monotonic() - self._last_sign < LOST_SECONDS:
            return None
        lost: State[Any] = Crashed(message=f"pool {self._pool}: its process or its machine is gone")
        self._client.set_flow_run_state(self._run, lost, force=True)
        return lost

    def _has_heartbeat(self) -> bool:
        since = datetime.now(UTC) - timedelta(seconds=RECENT_SECONDS)
        recent = EventFilter(
            event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
            resource=EventResourceFilter(id=[f"prefect.flow-run.{self._run}"]),
            occurred=EventOccurredFilter.model_validate({"since": since}),
        )
        return bool(self._client.read_events(filter=recent, limit=1).events)
