"""Stages on work pools: clones that share nothing but a git remote, a DVC remote and a Prefect server."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from flows.server.names import slug
from tests.support.prefect import STAGES, Api, run_flow, wait_for, worker
from tests.support.project import ENDLESS_TRAINING, Project
from tests.support.remote import known_runs, logged, refs, reproduce_gru, runs_on_pools

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("deployed")]

POOLS = {"text": "cpu", "training": "gpu", "inference": "cpu"}
ON_CPU = STAGES - {"code", "report", "train@rnn", "train@gru"}


def run_deployed(project: Project, api: Api) -> dict[str, Any]:
    """Run the deployment on-pools with POOLS, and wait for its end."""
    before = known_runs(api)
    parameter = f"pools={json.dumps(POOLS)}"
    project.run("prefect", "deployment", "run", "reproduce/on-pools", "--param", parameter)

    def ended() -> list[dict[str, Any]]:
        runs = [run for run in api.flow_runs() if run["id"] not in before and run["name"] not in STAGES]
        return [run for run in runs if run["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED")]

    wait_for(ended, "end of the run", seconds=500)
    (run,) = ended()
    assert run["state"]["type"] == "COMPLETED", run["state"]["message"]
    return run


def test_stages_run_in_the_clones_of_their_pools(
    home: Project, finished: Project, api: Api, tmp_path: Path
) -> None:
    home.run("git", "clone", "-q", "--bare", ".", str(tmp_path / "origin.git"))
    home.run("git", "remote", "add", "origin", str(tmp_path / "origin.git"))
    texts, trainings = (
        Project(tmp_path / name, clone_of=str(tmp_path / "origin.git")) for name in ("texts", "trainings")
    )
    home.edit("  max_chars: 3000", "  max_chars: 2900")  # not committed: it travels
    home.run("prefect", "--no-prompt", "deploy", "--name", "on-pools")
    with worker(home, "refrain"), worker(texts, "cpu"), worker(trainings, "gpu"):
        run = run_deployed(home, api)
    tasks = api.task_runs(run["id"], dict.fromkeys(STAGES, "Completed"))
    for name in STAGES:
        where = "on pool cpu" if name in ON_CPU else "on pool gpu" if "train@" in name else "with 1 thread"
        assert tasks[name]["state"]["message"].endswith(where), name
    assert "up to date" in home.run("dvc", "status").stdout
    assert home.run("dvc", "repro").stdout.count("didn't change, skipping") == len(STAGES)
    assert home.run("git", "ls-remote", "origin", "refs/refrain/*").stdout == refs(home) == ""

    with (home.folder / "pipeline/text/normalize.py").open("a", encoding="utf-8") as file:
        file.write("# A comment, which changes what the stage `code` reads, but not what it writes.\n")
    result = run_flow(home, "reproduce", "train", "--pool", "training=gpu")  # where no worker is any more
    assert result.returncode == 0, result.stderr
    states = {"code": "Completed", "build_vocab": "Cached", "train@rnn": "Cached", "train@gru": "Cached"}
    api.task_runs(api.flow_runs()[0]["id"], states)
    home.run("git", "checkout", "pipeline")

    alone = Project(tmp_path / "alone", clone_of=home)
    alone.edit("  max_chars: 3000", "  max_chars: 2900")
    alone.run("dvc", "repro")
    assert home.hashes() == alone.hashes(), "the same results as in one place"
    assert home.hashes() != finished.hashes()
    for project, ran in ((texts, ON_CPU), (trainings, {"train@rnn", "train@gru"})):
        assert project.run("git", "status", "--porcelain").stdout == "", "a worker's own files stay"
        assert refs(project) == ""
        locks = {path.name for path in (project.folder / ".git").glob("refrain-*.lock")}
        assert locks == {f"refrain-{slug(name)}.lock" for name in ran}


@pytest.mark.usefixtures("api")
def test_a_text_that_dvc_has_reaches_the_worker(home: Project, tmp_path: Path) -> None:
    texts = Project(tmp_path / "texts", clone_of=home)
    raw = home.folder / "data/raw"
    (raw / "mine.txt").write_bytes((raw / "lyrics.txt").read_bytes() + b"\r\n")
    home.run("dvc", "add", "data/raw/mine.txt")
    home.edit("path: data/raw/lyrics.txt", "path: data/raw/mine.txt")
    with worker(texts, "cpu"):
        result = run_flow(home, "reproduce", "encode_corpus", "--pool", "text=cpu")
    assert result.returncode == 0, result.stderr
    assert "up to date" in home.run("dvc", "status", "encode_corpus").stdout


def test_a_cancelled_run_cancels_its_remote_stages_and_the_next_goes_on(
    home: Project, api: Api, tmp_path: Path
) -> None:
    trainings = Project(tmp_path / "trainings", clone_of=home)
    for old, new in ENDLESS_TRAINING:
        home.edit(old, new)
    home.edit("checkpoint_seconds: 0.2", "checkpoint_seconds: 1000.0")
    home.run("dvc", "repro", "encode_corpus")
    with worker(trainings, "gpu"):
        for sign in ("gru: epoch", "gru: going on from its checkpoint"):
            before = known_runs(api)
            process = home.start("python", "-m", "flows.reproduce", "train@gru", "--pool", "training=gpu")
            wait_for(logged(api, before, sign), sign)
            assert refs(home)
            os.kill(process.pid, signal.SIGTERM)
            output, _ = process.communicate(timeout=120)
            assert refs(home) == "", output
            wait_for(
                lambda before=before: (
                    [r["state"]["type"] for r in runs_on_pools(api, before)] == ["CANCELLED"]
                ),
                "end",
            )
            saved = trainings.folder / ".git/refrain-train-gru-checkpoints/gru.safetensors"
            wait_for(saved.exists, "checkpoint")


def test_a_nightly_run_sends_its_stages_too(again: Project, api: Api, tmp_path: Path) -> None:
    again.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "remote"))
    again.edit("  gru: {cell: gru, hidden_size: 16", "  gru: {cell: gru, hidden_size: 18")
    again.edit("max_regression: 0.01", "max_regression: 9.0")
    again.commit("a larger GRU")
    trainings = Project(tmp_path / "trainings", clone_of=again)
    with worker(trainings, "gpu"):
        result = run_flow(again, "retrain", "--pool", "training=gpu")
    assert result.returncode == 0, result.stderr
    run = next(run for run in api.flow_runs() if "Retrain: perplexity" in run["state"]["message"])
    tasks = api.task_runs(run["id"], {"train@rnn": "Cached", "train@gru": "Completed"})
    assert tasks["train@gru"]["state"]["message"].endswith(" on pool gpu")
    again.run("dvc", "checkout")
    assert "up to date" in again.run("dvc", "status").stdout
    assert refs(again) == ""


def test_a_forced_stage_runs_on_its_pool_though_nothing_has_changed(
    again: Project, api: Api, tmp_path: Path
) -> None:
    again.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "remote"))
    again.commit("remote")
    trainings = Project(tmp_path / "trainings", clone_of=again)
    before, hashes = known_runs(api), again.hashes()
    assert reproduce_gru(again).returncode == 0, "without --force nothing is sent: there is no worker"
    with worker(trainings, "gpu"):
        result = reproduce_gru(again, "--force")
    assert result.returncode == 0, result.stderr
    assert logged(api, before, "gru: epoch 4/4")()
    assert again.hashes() == hashes
    assert "up to date" in again.run("dvc", "status").stdout
