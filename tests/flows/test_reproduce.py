"""The flow `reproduce` against a real server."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.prefect import STAGES, Api, processes_in, run_flow, times
from tests.support.project import ENDLESS_TRAINING, Project

pytestmark = pytest.mark.server


def test_whole_run_equals_a_serial_one_and_the_next_has_nothing_to_do(
    again: Project, finished: Project, api: Api
) -> None:
    result = run_flow(again, "reproduce", "--force")
    assert result.returncode == 0, result.stderr
    run = api.flow_runs()[0]
    tasks = api.task_runs(run["id"], dict.fromkeys(STAGES, "Completed"))
    assert set(tasks) == STAGES
    for task in tasks.values():
        assert task["state"]["message"].startswith("ran in ")
    rnn, gru = times(tasks["train@rnn"]), times(tasks["train@gru"])
    assert rnn[0] < gru[1], "the trainings overlap"
    assert gru[0] < rnn[1], "the trainings overlap"
    assert times(tasks["encode_corpus"])[1] <= min(rnn[0], gru[0])
    assert again.hashes() == finished.hashes()
    assert "up to date" in again.run("dvc", "status").stdout
    assert again.run("dvc", "repro").stdout.count("didn't change, skipping") == len(STAGES)

    shown = api.artifacts(run["id"])
    assert set(shown) >= {"metrics", "changes", "samples", "learning-curves", "report"}
    progress = shown["progress-train-gru"]
    assert progress["data"] == 100
    assert "gru: epoch" in progress["description"]
    assert "characters/s" in progress["description"]
    table = json.loads(shown["metrics"]["data"])
    *others, ngram = (row["model"] for row in table)
    assert others == ["rnn", "gru", "uniform", "unigram", "bigram"]
    assert ngram.endswith("-gram")
    assert "No figure differs" in shown["changes"]["data"]
    assert "## gru, greedy" in shown["samples"]["data"]
    assert (again.folder / "reports/index.html").as_uri() in shown["report"]["data"]
    changes = (again.folder / "reports/changes.html").read_text(encoding="utf-8")
    assert "to workspace" in changes
    assert "<li>nothing else differs</li>" in changes
    assert any("gru: epoch 4/4" in line for line in api.logs(run["id"])), "the stage's output is the log"

    assert run_flow(again, "reproduce").returncode == 0
    idle = api.flow_runs()[0]
    assert idle["state"]["name"] == "Cached"
    api.task_runs(idle["id"], dict.fromkeys(STAGES, "Cached"))


def test_going_back_to_earlier_parameters_trains_nothing_again(project: Project, api: Api) -> None:
    for old, new in (("4", "1"), ("1", "2"), ("2", "1")):
        project.edit(f"epochs: {old}", f"epochs: {new}")
        result = run_flow(project, "reproduce", "train")
        assert result.returncode == 0, result.stderr
    tasks = api.task_runs(api.flow_runs()[0]["id"], {"train@rnn": "Completed", "train@gru": "Completed"})
    for model in ("rnn", "gru"):
        assert tasks[f"train@{model}"]["state"]["message"].startswith("restored from DVC's run cache")
    assert "up to date" in project.run("dvc", "status", "train").stdout


def test_failure_is_the_stages_own_line_and_siblings_finish(again: Project, api: Api) -> None:
    again.edit("hidden_size: 16, num_layers: 2", "hidden_size: 16, num_layers: 2, train: {batch_size: 2000}")
    again.edit("  rnn: {cell: rnn, hidden_size: 16", "  rnn: {cell: rnn, hidden_size: 17")
    result = run_flow(again, "reproduce")
    assert result.returncode == 1
    run = api.flow_runs()[0]
    skipped = dict.fromkeys(("evaluate@gru", "generate@gru", "report"), "NotReady")
    done = {"build_vocab": "Cached", "train@rnn": "Completed", "evaluate@rnn": "Completed"}
    tasks = api.task_runs(run["id"], {**done, "train@gru": "Failed", **skipped})
    message = (
        "the training split has 2318 characters and needs 4000: lower train.batch_size, or use more text"
    )
    assert tasks["train@gru"]["state"]["message"] == message
    assert tasks["train@gru"]["run_count"] == 1, "no retry mends a parameter"
    assert run["state"]["message"] == f"train@gru: {message}"
    assert f"error: train@gru: {message}" in result.stderr


def test_killed_stage_is_tried_again(again: Project, api: Api) -> None:
    dies_once = "test -e once && touch out || (touch once; kill -9 $$)"
    (again.folder / "dvc.yaml").write_text(f"stages: {{killed: {{cmd: '{dies_once}', outs: [out]}}}}\n")
    assert run_flow(again, "reproduce", "killed").returncode == 0
    tasks = api.task_runs(api.flow_runs()[0]["id"], {"killed": "Completed"})
    assert tasks["killed"]["run_count"] == 2


@pytest.mark.usefixtures("api")
def test_stopped_run_leaves_checkpoints_and_no_process_and_the_next_goes_on(again: Project) -> None:
    for old, new in ENDLESS_TRAINING:
        again.edit(old, new)
    again.edit("checkpoint_seconds: 0.2", "checkpoint_seconds: 1000.0")
    for sign in ("gru: epoch", "gru: going on from its checkpoint"):
        process = again.start("python", "-m", "flows.reproduce", "train@gru")
        assert process.stdout is not None
        for line in process.stdout:
            if sign in line:
                break
        else:
            raise AssertionError(f"never said {sign!r}")
        os.kill(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)
        assert (again.folder / ".checkpoints/gru.safetensors").exists()
        assert not processes_in(again.folder)


def test_other_parameters_are_an_experiment_that_leaves_the_workspace(again: Project, api: Api) -> None:
    result = run_flow(again, "reproduce", "-S", "models.gru.hidden_size=24")
    assert result.returncode == 0, result.stderr
    assert again.run("git", "status", "--porcelain").stdout == ""
    run = api.flow_runs()[0]
    name = run["state"]["message"].split()[1].rstrip(":")
    assert name in again.run("dvc", "exp", "show", "--csv").stdout
    rows = json.loads(api.artifacts(run["id"])["changes"]["data"])
    assert {row["model"] for row in rows} == {"gru"}
    assert all(row["change"][0] in "+-" for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-S", "train.epochs=0"], "set_params: train.epochs: 0 is wrong: input should be greater"),
        (["-S", "train.epoch=1"], "set_params: Could not override 'train.epoch'"),
        (["nope"], "targets: there is no stage 'nope'; there are code, build_vocab"),
        (["--max-parallel", "0"], "max_parallel: 0 is wrong"),
        (["--compare-to", "nowhere"], "compare_to: nowhere: "),
    ],
)
def test_wrong_arguments_are_one_line(
    finished: Project, api: Api, arguments: list[str], message: str
) -> None:
    result = run_flow(finished, "reproduce", *arguments)
    assert result.returncode == 1
    assert api.flow_runs()[0]["state"]["message"].startswith(message)
    assert f"\nerror: {message}" in result.stderr


def test_without_a_server_it_brings_its_own(finished: Project, server: str, prefect_home: Path) -> None:
    assert server, "whose database is a ready one"
    home = Path(os.environ["PREFECT_HOME"])
    home.mkdir(exist_ok=True)
    shutil.copy(prefect_home / "prefect.db", home)
    result = run_flow(finished, "reproduce")
    assert result.returncode == 0, result.stderr
    assert "Finished in state Cached('nothing has changed'" in result.stderr + result.stdout
