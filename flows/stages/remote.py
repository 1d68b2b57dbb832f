"""Runs stages on other machines, through the workers of their work pools.

commit of the state --> git ref --> flow run on the pool --> results on the ref --> dvc pull

:mod:`flows.stages.worker` is the flow run on the pool.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from httpx import HTTPError
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run

from flows.server.names import slug
from flows.server.states import error_of
from flows.stages.graph import Stage, has_changed
from flows.stages.listings import pull
from flows.stages.pool_runs import PoolRuns
from flows.stages.runner import UNCHANGED, StageResult
from flows.stages.state import commit_state, take_results
from flows.workspace.programs import OnLine, Programs
from flows.workspace.shared_ref import SharedRef
from pipeline.errors import TransientError, first_line


class RemoteRunner:
    """Runs stages of the repository in the folder of ``programs`` on the work pools that ``pools`` names.

    States and results travel over ``git_remote``; without one, workers get them from this very repository.
    With ``force``, unchanged stages run, too.
    """

    def __init__(
        self, programs: Programs, pools: Mapping[str, str], git_remote: str | None, force: bool = False
    ) -> None:
        self._programs = programs
        self._folder = programs.folder
        self._pools = pools
        self._git_remote = git_remote
        self._force = force
        self._runs = PoolRuns()
        self._received: set[str] = set()  # stages whose results are here, but perhaps not yet their data

    def run(self, stage: Stage, on_line: OnLine, _variables: Mapping[str, str] = {}) -> StageResult:
        """Send a stage to its pool, wait for its end, and take its results into the folder."""
        started, pool = time.monotonic(), self._pools[stage.name]
        if stage.name not in self._received:
            if not self._force and not has_changed(self._folder, stage.name):
                return UNCHANGED
            with _server_errors(pool):
                self._run_on_pool(stage, pool, on_line)
            self._received.add(stage.name)
        try:
            pull(self._programs, stage.name, on_line=on_line)
        except TransientError as error:
            raise TransientError(f"results did not arrive over DVC's remote: {error}") from None
        return StageResult(True, f"ran in {time.monotonic() - started:.1f} s on pool {pool}")

    def stop(self) -> None:
        """Cancel the flow runs, and stop transfers of data."""
        self._runs.cancel_all()
        self._programs.stop()

    def _run_on_pool(self, stage: Stage, pool: str, on_line: OnLine) -> None:
        if stage.upstream:
            self._programs.dvc("push", *stage.upstream, on_line=on_line)
        commit = commit_state(self._folder)
        name = f"refs/refrain/{flow_run.id}/{slug(stage.name)}"
        ref = SharedRef(self._folder, self._git_remote, name)
        with ref.pointing_to(commit, warn=on_line):
            parameters = {"stage": stage.name, "ref": name, "commit": commit, "force": self._force}
            state = self._runs.run(pool, stage.name, parameters, on_line)
            if not state.is_completed():
                raise error_of(state)
            results = ref.read()
            if results in (None, commit):
                raise TransientError(f"results did not arrive over git: {name} has not moved")
            take_results(self._folder, stage.name, results, commit)


@contextmanager
def _server_errors(pool: str) -> Iterator[None]:
    """Turn errors of Prefect's client into transient ones."""
    try:
        yield
    except (HTTPError, PrefectException) as error:
        raise TransientError(f"pool {pool}: {type(error).__name__}: {first_line(error)}") from None
