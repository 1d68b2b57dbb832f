"""A Prefect server on loopback, what it knows, flows as programs, workers."""

import datetime
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.project import ROOT, Project

STAGES = {
    "code",
    "build_vocab",
    "encode_corpus",
    "baselines",
    *(f"{name}@{model}" for name in ("train", "evaluate", "generate") for model in ("rnn", "gru")),
    "report",
}
"""Names of all stages of the tests' project."""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def prefect_server(home: Path, **variables: str) -> Iterator[str]:
    """A server as `make server` starts it, with its database in ``home``; gives the API's address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/api"
    own = {"PREFECT_HOME": str(home), "PREFECT_SERVER_API_PORT": str(port)}
    environment = {**os.environ, **own, **variables}
    environment.pop("PREFECT_API_URL", None)
    log = home.with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.server.start"],
            env=environment,
            cwd=ROOT,  # where the project's own settings are
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            wait_for(lambda: _answers(address), f"server: see {log}", seconds=180)
            yield address
        finally:
            process.terminate()
            process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health").status_code == 200
    except httpx.TransportError:
        return False


class Api:
    """What a server knows, over its REST API."""

    def __init__(self, address: str) -> None:
        self.address = address
        token = httpx.get(f"{address}/csrf-token?client=tests", timeout=120).json()["token"]
        self._headers = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "tests"}

    def post(self, path: str, **body: object) -> Any:
        # SQLite's lock may last 60 seconds.
        response = httpx.post(f"{self.address}{path}", json=body, headers=self._headers, timeout=120)
        response.raise_for_status()
        return response.json() if response.content else None

    def flow_runs(self) -> list[dict[str, Any]]:
        """All flow runs that have started, the newest first."""
        started = {"start_time": {"is_null_": False}}
        found: list[dict[str, Any]] = self.post(
            "/flow_runs/filter", flow_runs=started, sort="START_TIME_DESC"
        )
        return found

    def task_runs(self, flow_run_id: str, expected: dict[str, str]) -> dict[str, dict[str, Any]]:
        """The task runs of a flow run by name, of which some must come to be in the ``expected`` states.

        A server learns of task runs from events, and may do so after it knows the end of their flow run.
        """
        deadline = time.monotonic() + 120
        while True:
            found = self.post("/task_runs/filter", flow_runs={"id": {"any_": [flow_run_id]}})
            runs = {run["name"]: run for run in found}
            states = {name: run["state"]["name"] for name, run in runs.items()}
            if expected.items() <= states.items():
                return runs
            assert time.monotonic() < deadline, f"{states}, not {expected}"
            time.sleep(0.2)

    def artifacts(self, flow_run_id: str) -> dict[str, dict[str, Any]]:
        """The artifacts of a flow run by key."""
        found = self.post("/artifacts/filter", artifacts={"flow_run_id": {"any_": [flow_run_id]}})
        return {artifact["key"]: artifact for artifact in found}

    def logs(self, flow_run_id: str) -> list[str]:
        """All log lines of a flow run."""
        lines: list[str] = []
        while True:
            wanted = {"flow_run_id": {"any_": [flow_run_id]}}
            found = self.post("/logs/filter", logs=wanted, offset=len(lines), sort="TIMESTAMP_ASC")
            if not found:
                return lines
            lines += [log["message"] for log in found]


def run_flow(project: Project, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a flow of the project as a program."""
    return project.run("python", "-m", f"flows.{name}", *arguments, check=False)


def wait_for(
    condition: Callable[[], object],
    what: str,
    seconds: float = 180,
    instead: Callable[[], object] = lambda: None,
) -> None:
    """Wait until a condition holds. Fail at once with what ``instead`` says, if it says something."""
    deadline = time.monotonic() + seconds
    while not condition():
        happened = instead()
        assert not happened, f"no {what}, but {happened}"
        assert time.monotonic() < deadline, f"no {what} in {seconds} s"
        time.sleep(0.3)


@contextmanager
def worker(project: Project, pool: str = "refrain") -> Iterator[None]:
    """A worker of a pool at work in the project's folder, as `make worker` starts it."""
    limit = [] if pool == "refrain" else ["--limit", "1"]
    process = project.start("prefect", "worker", "start", "--pool", pool, "--type", "process", *limit)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def deploy(project: Project) -> None:
    """Put the pools and deployments of the project's prefect.yaml on the server, as `make deploy` does."""
    for pool in ("refrain", "cpu", "gpu"):
        project.run("prefect", "work-pool", "create", pool, "--type", "process", "--overwrite")
    project.run("prefect", "--no-prompt", "deploy", "--all")


def times(run: dict[str, Any]) -> tuple[datetime.datetime, datetime.datetime]:
    """When a run began and ended."""
    start, end = (datetime.datetime.fromisoformat(run[key]) for key in ("start_time", "end_time"))
    return start, end


def processes_in(folder: Path) -> list[str]:
    """Command lines of processes at work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
