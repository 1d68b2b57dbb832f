"""A real Prefect server on loopback, in a home of the tests' own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.project import Project


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def prefect_server(home: Path, **variables: str) -> Iterator[str]:
    """A server with its database in ``home``; gives the API's address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/api"
    environment = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_SERVER_UI_API_URL": address, **variables}
    environment.pop("PREFECT_API_URL", None)
    with (home.parent / f"{home.name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)],
            env=environment,
            cwd=Path(__file__).parents[2],  # where the project's own settings are
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            for _ in range(600):
                try:
                    if httpx.get(f"{address}/health").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            else:
                raise AssertionError((home.parent / f"{home.name}.log").read_text())
            yield address
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session")
def server(prefect_home: Path) -> Iterator[str]:
    with prefect_server(prefect_home) as address:
        yield address


class Api:
    """What a server knows, over its REST API."""

    def __init__(self, address: str) -> None:
        self.address = address

    def post(self, path: str, **body: object) -> object:
        response = httpx.post(f"{self.address}{path}", json=body, timeout=30)
        response.raise_for_status()
        return response.json() if response.content else None

    def flow_runs(self) -> list[dict]:
        """All flow runs that have started, the newest first."""
        started = {"start_time": {"is_null_": False}}
        return self.post("/flow_runs/filter", flow_runs=started, sort="START_TIME_DESC")  # type: ignore[return-value]

    def task_runs(self, flow_run_id: str, expected: dict[str, str]) -> dict[str, dict]:
        """The task runs of a flow run by name, of which some must come to be in the ``expected`` states.

        A server learns of task runs from events, and may do so after it knows the end of their flow run.
        """
        deadline = time.monotonic() + 60
        while True:
            found = self.post("/task_runs/filter", flow_runs={"id": {"any_": [flow_run_id]}})
            runs = {run["name"]: run for run in found}  # type: ignore[attr-defined]
            states = {name: run["state"]["name"] for name, run in runs.items()}
            if expected.items() <= states.items():
                return runs
            assert time.monotonic() < deadline, f"{states}, not {expected}"
            time.sleep(0.2)

    def artifacts(self, flow_run_id: str) -> dict[str, dict]:
        """The artifacts of a flow run by key."""
        found = self.post("/artifacts/filter", artifacts={"flow_run_id": {"any_": [flow_run_id]}})
        return {artifact["key"]: artifact for artifact in found}  # type: ignore[attr-defined]

    def logs(self, flow_run_id: str) -> list[str]:
        """All log lines of a flow run."""
        lines: list[str] = []
        while True:
            wanted = {"flow_run_id": {"any_": [flow_run_id]}}
            found = self.post("/logs/filter", logs=wanted, offset=len(lines), sort="TIMESTAMP_ASC")
            if not found:
                return lines
            lines += [log["message"] for log in found]  # type: ignore[attr-defined]


@pytest.fixture
def api(server: str, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The server, for programs that tests start, too."""
    monkeypatch.setenv("PREFECT_API_URL", server)
    return Api(server)


def run_flow(project: Project, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a flow of the project as a program."""
    return project.run("python", "-m", f"flows.{name}", *arguments, check=False)
