"""Remote stages that fail: killed, refused, without results, on pools that do not exist."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.prefect import Api, run_flow, wait_for, worker
from tests.support.project import LONG_TRAINING, Project
from tests.support.remote import known_runs, logged, refs, reproduce_gru, runs_on_pools

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("deployed")]


def test_a_remote_stage_that_is_killed_is_sent_again(home: Project, api: Api, tmp_path: Path) -> None:
    trainings = Project(tmp_path / "trainings", clone_of=home)
    for old, new in LONG_TRAINING:
        home.edit(old, new)
    home.run("dvc", "repro", "encode_corpus")
    before = known_runs(api)
    with worker(trainings, "gpu"):
        process = home.start("python", "-m", "flows.reproduce", "train@gru", "--pool", "training=gpu")
        wait_for(logged(api, before, "gru: epoch"), "training")
        (run,) = runs_on_pools(api, before)
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"PREFECT__FLOW_RUN_ID={run['id']}".encode() in (path / "environ").read_bytes():
                    os.kill(int(path.name), signal.SIGKILL)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert [run["state"]["type"] for run in runs_on_pools(api, before)] == ["COMPLETED", "CRASHED"]
    assert logged(api, before, "gru: going on from its checkpoint")()
    assert "up to date" in home.run("dvc", "status", "train@gru").stdout


def test_errors_of_remote_stages_are_the_stages_own(home: Project, api: Api, tmp_path: Path) -> None:
    other = Project(tmp_path / "other", clone_of=home)
    home.edit("  batch_size: 8\n", "  batch_size: 2000\n")
    home.run("dvc", "repro", "encode_corpus")
    with worker(other, "gpu"):
        result = reproduce_gru(home)
        assert result.returncode == 1
        assert "error: train@gru: the training split has 2318 characters and needs 4000" in result.stderr
        assert refs(home) == ""
        other.run("git", "remote", "remove", "origin")
        result = reproduce_gru(home)
        assert "the run's state is not known on this stage's machine" in result.stderr
    assert runs_on_pools(api, set())[0]["state"]["message"].endswith("with `git remote add`")
    assert refs(home) == ""


def test_results_that_do_not_arrive_are_an_error_and_nothing_is_trained_here(
    home: Project, api: Api, tmp_path: Path
) -> None:
    trainings = Project(tmp_path / "trainings", clone_of=home)
    home.run("dvc", "repro", "encode_corpus")
    home.run("dvc", "push")
    home.commit("data")
    trainings.run("git", "pull", "-q")
    trainings.run("dvc", "pull", "build_vocab", "encode_corpus")  # all that the training reads
    elsewhere = str(tmp_path / "elsewhere")
    trainings.run("dvc", "remote", "modify", "--local", "store", "url", elsewhere)
    before = known_runs(api)
    with worker(trainings, "gpu"):
        result = reproduce_gru(home)
    assert result.returncode == 75
    assert "error: train@gru: results did not arrive over DVC's remote: " in result.stderr
    assert [run["state"]["type"] for run in runs_on_pools(api, before)] == ["COMPLETED"], (
        "trained once, there"
    )
    assert not (home.folder / ".checkpoints").exists()
    assert not (home.folder / "models/gru.safetensors").exists()
    assert refs(home) == ""


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        (["--pool", "trainings=gpu"], "pools: there is no stage or label 'trainings'"),
        (["--pool", "training=tpu"], "pools: the server has no deployment stage/tpu"),
        (["--pool", "training=gpu", "-S", "seed=2"], "set_params runs the whole pipeline here"),
        (["--pool", "training=gpu"], "pools: data go to other machines over DVC's remote, and there is none"),
    ],
)
def test_wrong_pools_are_one_line(project: Project, api: Api, pools: list[str], message: str) -> None:
    result = run_flow(project, "reproduce", *pools)
    assert result.returncode == 1
    assert f"\nerror: {message}" in result.stderr
    assert api.flow_runs()[0]["state"]["message"].startswith(message)
