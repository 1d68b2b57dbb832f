"""What this project's programs open to other users of the machine, and connect to."""

import stat
import sys
from pathlib import Path

import httpx
import pytest

from pipeline.params.runtime import RuntimeParams
from pipeline.text.workers import parallel_map
from tests.support.ports import LOOPBACK, addresses_outside, listeners, processes_at, traced
from tests.support.prefect import free_port, wait_for
from tests.support.project import ENDLESS_TRAINING, ROOT, Project, wait_for_checkpoint


@pytest.fixture
def endless(project: Project) -> Project:
    """A project whose trainings go on until they are stopped, after its text was encoded."""
    for old, new in ENDLESS_TRAINING:
        project.edit(old, new)
    project.run("dvc", "repro", "encode_corpus")
    return project


@pytest.mark.slow
def test_ranks_listen_on_loopback_and_meet_by_a_file_of_the_users_own(
    endless: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endless.edit("  threads: 1\n", "  threads: 1\n  processes: 2\n")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = endless.start("python", "-m", "pipeline.stages.train", "gru")
    try:
        wait_for_checkpoint(endless, process=process)
        (folder,) = tmp_path.glob("refrain-ranks-*")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        found = listeners(endless.folder)
        assert found
        assert all(LOOPBACK.match(address) for address, _ in found), found
        launcher = [p for p in processes_at(endless.folder) if p.pid == process.pid]
        assert not launcher[0].net_connections("inet"), "no store for everybody"
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert not list(tmp_path.glob("refrain-ranks-*"))


@pytest.mark.slow
def test_text_workers_refuse_intruders() -> None:
    """Without the certificate nobody runs code on them: neither by plain Dask, nor by TLS of their own."""
    from distributed import Client
    from distributed.security import Security

    with parallel_map(RuntimeParams(text_workers=2)) as over:
        assert list(over(abs, [-1, -2])) == [1, 2]
        (ours,) = Client._instances
        known = ours.scheduler_info()
        nannies = [worker["nanny"] for worker in known["workers"].values()]
        for address in (known["address"], *known["workers"], *nannies):
            assert address.startswith("tls://127.0.0.1:")
        assert all(LOOPBACK.match(address) for address, _ in listeners(Path.cwd()))
        for scheme, security in (("tcp", None), ("tls", Security.temporary())):
            address = known["address"].replace("tls", scheme)
            with pytest.raises(OSError):  # noqa: PT011
                Client(address, security=security, timeout=2, set_as_default=False)
        assert list(over(abs, [-3])) == [3]


@pytest.mark.slow
def test_flows_give_dvc_a_cache_that_only_its_user_can_write(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DVC_SITE_CACHE_DIR")
    program = (
        "from pathlib import Path; from flows.workspace.programs import Programs;"
        " Programs(Path.cwd()).dvc('repro', 'code', on_line=print)"
    )
    project.run(sys.executable, "-c", program)
    folder = project.folder / ".dvc/tmp/site-cache"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.rglob("*.db")), "DVC uses it"
    assert project.run("git", "status", "--porcelain", ".dvc").stdout == ""


def test_users_own_cache_of_dvc_stays(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", "/nowhere")
    program = "import flows, os; print(os.environ['DVC_SITE_CACHE_DIR'])"
    assert project.run(sys.executable, "-c", program).stdout.strip() == "/nowhere"


@pytest.mark.server
def test_flow_that_is_killed_takes_its_server_and_its_training_along(endless: Project) -> None:
    """kill -9; the training writes a checkpoint, and DVC's locks are free."""
    endless.edit("checkpoint_seconds: 0.2", "checkpoint_seconds: 1000.0")
    process = endless.start("python", "-m", "flows.reproduce", "train@gru")
    assert process.stdout is not None
    for line in process.stdout:
        if "gru: epoch" in line:
            break
    found = listeners(endless.folder)
    assert found
    assert all(LOOPBACK.match(address) for address, _ in found), found
    servers = [f"http://127.0.0.1:{port}/api" for _, port in found]
    assert 401 in {httpx.get(f"{server}/csrf-token?client=1").status_code for server in servers}
    for running in processes_at(endless.folder):
        assert "refrain:" not in " ".join(running.cmdline()), "everybody can read command lines"
    process.kill()
    wait_for(lambda: not processes_at(endless.folder), "end of all processes", seconds=60)
    assert (endless.folder / ".checkpoints/gru.safetensors").exists()
    endless.edit("epochs: 100000", "epochs: 1")
    endless.run("dvc", "repro", "train@gru")


def make(project: Project, *arguments: str) -> list[str]:
    """A command that runs the project's Makefile, in the environment that is there."""
    if not (project.folder / "Makefile").exists():
        (project.folder / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
        (project.folder / ".venv").symlink_to(sys.prefix)
    return ["make", "--old-file=.venv/installed", *arguments]


@pytest.mark.doors
@pytest.mark.parametrize("arguments", [["repro"], ["flow", "ARGS=build_vocab --force"]])
def test_runs_connect_and_listen_on_this_machine_only(
    project: Project, tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DO_NOT_TRACK")
    monkeypatch.delenv("DVC_NO_ANALYTICS")
    log = tmp_path / "strace"
    project.run(*traced(log), *make(project, *arguments))
    assert log.stat().st_size
    assert addresses_outside(log) == []


@pytest.mark.doors
def test_server_deploy_and_worker_reach_this_machine_only(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One program starts them all, since a network of their own has a loopback of its own."""
    log, port = tmp_path / "strace", str(free_port())
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PREFECT_SERVER_API_PORT", port)
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
    make(project)
    script = """
        set -m  # each job gets a process group of its own
        make="make --old-file=.venv/installed"
        $make server & server=$!
        until curl -sf $PREFECT_API_URL/health; do kill -0 $server || exit; sleep 0.5; done
        $make deploy
        $make worker >worker.log 2>&1 & worker=$!
        until grep -q started worker.log; do kill -0 $worker || exit; sleep 0.5; done
        registry=$PREFECT_API_URL/collections/views
        curl -sf $registry/aggregate-worker-metadata | grep -q process && echo registry
        curl -s $registry/demo-flows
        kill -- -$worker && wait $worker
        kill -- -$server && wait $server
    """
    output = project.run(*traced(log), "bash", "-c", script, check=False)
    assert "registry" in output.stdout, output.stderr
    assert addresses_outside(log) == []
