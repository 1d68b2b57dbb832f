"""From nothing to a scheduled run: server, work pool, deployments of prefect.yaml, worker."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support.prefect import (
    STAGES,
    Api,
    deploy,
    free_port,
    prefect_server,
    processes_in,
    wait_for,
    worker,
)
from tests.support.project import ENDLESS_TRAINING, Project

pytestmark = pytest.mark.server


def deploy_with_schedule(project: Project, interval: int) -> None:
    """What `make deploy` does, with a schedule for the deployment `reproduce`: every so many seconds."""
    path = project.folder / "prefect.yaml"
    round_trip = YAML()
    settings = round_trip.load(path.read_text(encoding="utf-8"))
    settings["deployments"][0]["schedules"] = [{"interval": interval}]
    round_trip.dump(settings, path)
    deploy(project)


def is_scheduled_run_done(api: Api) -> bool:
    return any(run["auto_scheduled"] and run["state"]["type"] == "COMPLETED" for run in api.flow_runs())


def test_scheduled_run_and_cancelled_one(again: Project, api: Api) -> None:
    deploy_with_schedule(again, interval=10)
    deployments = {d["name"]: d for d in api.post("/deployments/filter")}
    retrain = deployments["retrain"]
    assert retrain["schedules"][0]["schedule"]["cron"] == "0 3 * * *"
    assert retrain["schedules"][0]["schedule"]["timezone"] == "UTC"
    assert retrain["global_concurrency_limit"]["limit"] == 1
    assert retrain["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    with worker(again):
        wait_for(lambda: is_scheduled_run_done(api), "scheduled run")
        run = next(r for r in api.flow_runs() if r["auto_scheduled"] and r["state"]["type"] == "COMPLETED")
        assert run["state"]["name"] == "Cached"
        assert set(api.task_runs(run["id"], dict.fromkeys(STAGES, "Cached"))) == STAGES
        assert "metrics" in api.artifacts(run["id"])

        clear = ["prefect", "deployment", "schedule", "clear", "reproduce/reproduce", "--accept-yes"]
        again.run(*clear, check=False)
    wait_for(lambda: not processes_in(again.folder), "rest")
    # Another worker: the first may hold scheduled runs that it took before the schedule was gone.
    with worker(again):
        for old, new in ENDLESS_TRAINING:
            again.edit(old, new)
        again.edit("checkpoint_seconds: 0.2", "checkpoint_seconds: 1000.0")
        path = f"/deployments/{deployments['reproduce']['id']}/create_flow_run"
        new_run = api.post(path, parameters={"targets": ["train@gru"]})
        name = new_run["id"]
        wait_for(lambda: "progress-train-gru" in api.artifacts(name), "progress of the training")
        api.post(f"/flow_runs/{name}/set_state", state={"type": "CANCELLING", "name": "Cancelling"})

        def state() -> str:
            return next(run["state"]["type"] for run in api.flow_runs() if run["id"] == name)

        wait_for(lambda: state() == "CANCELLED", "cancelled run")
        wait_for(lambda: "stages.train" not in " ".join(processes_in(again.folder)), "end of the training")
    assert (again.folder / ".checkpoints/gru.safetensors").exists(), "written on SIGTERM"


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL server on loopback; gives SQLAlchemy's address of its database."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = programs[-1] if programs else Path(shutil.which("initdb") or "/none/x").parent
    if not (found / "initdb").exists():
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    # PostgreSQL refuses to run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    data, port = folder / "data", free_port()
    folder.mkdir()
    if as_user:
        shutil.chown(folder, "postgres")
        for parent in (folder, *folder.parents[:-2]):
            parent.chmod(parent.stat().st_mode | 0o055)
    run = {"check": True, "cwd": folder, "stdout": subprocess.DEVNULL}
    subprocess.run([*as_user, found / "initdb", "-D", data, "-U", "prefect", "-A", "trust", "-N"], **run)  # type: ignore[call-overload]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    control = [*as_user, found / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
    subprocess.run([*control, "-o", options, "start"], **run)  # type: ignore[call-overload]
    try:
        yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **run)  # type: ignore[call-overload]


def test_scheduled_run_on_postgresql(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "project", copy_of=finished)
    with (
        postgres(tmp_path / "postgres") as database,
        prefect_server(tmp_path / "prefect", PREFECT_API_DATABASE_CONNECTION_URL=database) as address,
    ):
        monkeypatch.setenv("PREFECT_API_URL", address)
        api = Api(address)
        deploy_with_schedule(project, interval=10)
        with worker(project):
            wait_for(lambda: is_scheduled_run_done(api), "scheduled run")
        run = next(r for r in api.flow_runs() if r["state"]["type"] == "COMPLETED")
        assert "metrics" in api.artifacts(run["id"])
    assert not list((tmp_path / "prefect").glob("*.db")), "it kept nothing in SQLite"


def test_remote_on_s3_gives_a_fresh_clone_all_results(again: Project, s3: str, tmp_path: Path) -> None:
    again.run("dvc", "remote", "add", "-d", "store", f"{s3}/refrain")
    again.commit("remote")
    again.run("dvc", "push")
    clone = Project(tmp_path / "clone", clone_of=again)
    clone.run("dvc", "pull")
    assert clone.run("dvc", "repro").stdout.count("didn't change, skipping") == len(STAGES)
    assert clone.hashes() == again.hashes()
