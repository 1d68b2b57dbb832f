"""Stages on work pools: clones that share nothing but a git remote, a DVC remote and a Prefect server."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from flows.dag import Stage
from flows.parcel import adopt, collect, read_workspace, write_workspace
from flows.pools import place
from flows.results import slug
from flows.texts import fetch_texts
from tests.flows.conftest import Api, run_flow
from tests.flows.test_deployment import put_on_server, wait_for
from tests.flows.test_reproduce import STAGES
from tests.stages.test_pipeline import LONG
from tests.support.project import Project

GRAPH = [
    Stage("build_vocab", (), True, "text"),
    Stage("train@rnn", ("build_vocab",), True, "training"),
    Stage("train@gru", ("build_vocab",), True, "training"),
    Stage("report", ("train@rnn", "train@gru"), True),
]
WHERE = {
    **dict.fromkeys(["build_vocab", "encode_corpus", "evaluate", "generate"], "cpu"),
    **dict.fromkeys(["train@rnn", "train@gru"], "gpu"),
}


def clone(project: Project, folder: Path) -> Project:
    project.run("git", "clone", "-q", str(project.folder), str(folder))
    copy = Project.__new__(Project)
    copy.folder = folder
    return copy


@contextmanager
def worker(project: Project, pool: str) -> Iterator[None]:
    limit = [] if pool == "refrain" else ["--limit", "1"]
    process = project.start("prefect", "worker", "start", "--pool", pool, "--type", "process", *limit)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()


@pytest.fixture
def home(project: Project, tmp_path: Path) -> Project:
    """A project that has run nothing, with a remote whose path is relative to it."""
    (tmp_path / "remote").mkdir()
    project.run("dvc", "remote", "add", "--default", "store", "../remote")
    project.commit("remote")
    return project


@pytest.fixture(scope="session")
def deployed(server: str, finished: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server that knows prefect.yaml's pools and deployments."""
    project = Project(tmp_path_factory.mktemp("deployed"), copy_of=finished)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", server)
        put_on_server(project)


def test_a_pool_is_found_by_name_before_label() -> None:
    assert place(GRAPH, {"training": "gpu", "train@rnn": "cpu"}) == {"train@rnn": "cpu", "train@gru": "gpu"}
    assert place(GRAPH, {"train": "gpu", "text": "cpu"}) == {
        "build_vocab": "cpu",
        "train@rnn": "gpu",
        "train@gru": "gpu",
    }
    assert place(GRAPH, {}) == {}


def test_a_text_that_git_ignores_is_taken_from_the_workers_clone(project: Project, tmp_path: Path) -> None:
    (project.folder / "data/raw/mine").mkdir()
    (tmp_path / "large.txt").write_text("a")
    (project.folder / "data/raw/mine/a.txt").symlink_to("../../../../large.txt")
    (project.folder / "mine.txt").write_text("neither in git nor ignored")
    tree = clone(project, tmp_path / "tree")
    elsewhere = [str(tmp_path / "elsewhere"), "https://example.org/a"]
    for corpus in ("data/raw/mine", "data/raw/lyrics.txt", "mine.txt", *elsewhere):
        fetch_texts(tree.folder, project.folder, corpus, print)
    assert (tree.folder / "data/raw/mine/a.txt").read_text() == "a"
    assert tree.run("git", "status", "--porcelain").stdout == ""


def test_a_workspace_travels_as_it_is(finished: Project, again: Project, tmp_path: Path) -> None:
    other = clone(finished, tmp_path / "other")
    again.edit("seed: 1", "seed: 2")
    (again.folder / "new.bin").write_bytes(bytes(range(256)))
    (again.folder / "reports/samples.md").unlink()
    (again.folder / "text.txt").write_bytes(b"\r\nlatin: \xe9 \n  trailing  ")
    objects = again.run("git", "count-objects").stdout
    revision, patch = read_workspace(again.folder)
    assert again.run("git", "diff", "--cached", "--name-only").stdout == "", "nobody's index is touched"
    assert again.run("git", "count-objects").stdout == objects, "and nothing is left in git"
    write_workspace(other.folder, patch)
    assert other.run("git", "rev-parse", "HEAD").stdout.strip() == revision
    names = again.run("git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.split()
    for name in {*names} - {"reports/samples.md"}:
        assert (other.folder / name).read_bytes() == (again.folder / name).read_bytes(), name
    assert not (other.folder / "reports/samples.md").exists()


def test_results_travel_with_their_place_in_dvc_lock(again: Project, tmp_path: Path) -> None:
    again.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "remote"))
    again.commit("remote")
    other = clone(again, tmp_path / "other")
    again.edit("hidden_size: 16, num_layers: 2", "hidden_size: 20, num_layers: 2")
    write_workspace(other.folder, read_workspace(again.folder)[1])
    again.run("dvc", "repro", "train@gru")
    again.run("dvc", "push")
    (other.folder / "reports/train/gru/plots/metrics/left.tsv").write_text("of the run before")
    adopt(other.folder, "train@gru", collect(again.folder, "train@gru"))
    other.run("dvc", "pull", "--force", "build_vocab", "encode_corpus", "train@gru")
    assert other.hashes("gru") == again.hashes("gru")
    assert "up to date" in other.run("dvc", "status", "train@gru").stdout
    assert (
        other.run("git", "status", "--porcelain").stdout == again.run("git", "status", "--porcelain").stdout
    )


def run_deployed(project: Project, api: Api) -> dict:
    """Run the deployment on-pools, the stages that look at models on a pool, too, and wait for its end."""
    before = {run["id"] for run in api.flow_runs()}
    pools = json.dumps({"text": "cpu", "training": "gpu", "inference": "cpu"})
    project.run("prefect", "deployment", "run", "reproduce/on-pools", "--param", f"pools={pools}")

    def ended() -> list[dict]:
        runs = [run for run in api.flow_runs() if run["id"] not in before and run["name"] not in STAGES]
        return [run for run in runs if run["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED")]

    wait_for(ended, "end of the run", seconds=300)
    (run,) = ended()
    assert run["state"]["type"] == "COMPLETED", run["state"]["message"]
    return run


@pytest.mark.server
@pytest.mark.usefixtures("deployed")
def test_stages_run_in_the_clones_of_their_pools(
    home: Project, finished: Project, api: Api, tmp_path: Path
) -> None:
    texts, trainings = clone(home, tmp_path / "texts"), clone(home, tmp_path / "trainings")
    home.edit("  max_chars: 3000", "  max_chars: 2900")  # not committed: it travels
    home.run("prefect", "--no-prompt", "deploy", "--name", "on-pools")
    with worker(home, "refrain"), worker(texts, "cpu"), worker(trainings, "gpu"):
        run = run_deployed(home, api)
    tasks = api.task_runs(run["id"], dict.fromkeys(STAGES, "Completed"))
    for name in STAGES:
        expected = f" on pool {WHERE[name]}" if name in WHERE else " thread(s)"
        assert tasks[name]["state"]["message"].endswith(expected)
    assert "up to date" in home.run("dvc", "status").stdout
    assert home.run("dvc", "repro").stdout.count("didn't change, skipping") == len(STAGES)

    with (home.folder / "pipeline/text/normalize.py").open("a", encoding="utf-8") as file:
        file.write("# A comment, which changes the code that texts depend on, but not what comes of it.\n")
    result = run_flow(home, "reproduce", "train", "--pool", "training=gpu")  # where no worker is any more
    assert result.returncode == 0, result.stderr
    states = {"build_vocab": "Completed", "train@rnn": "Cached", "train@gru": "Cached"}
    api.task_runs(api.flow_runs()[0]["id"], states)
    home.run("git", "checkout", "pipeline")

    alone = clone(home, tmp_path / "alone")
    alone.edit("  max_chars: 3000", "  max_chars: 2900")
    alone.run("dvc", "repro")
    assert home.hashes() == alone.hashes(), "the same results as in one place"
    assert home.hashes() != finished.hashes()
    for project, pool in ((texts, "cpu"), (trainings, "gpu")):
        assert project.run("git", "status", "--porcelain").stdout == "", (
            "a worker's own files are not touched"
        )
        locks = {path.name for path in (project.folder / ".git").glob("refrain-*.lock")}
        ran = [slug(name) for name, where in WHERE.items() if where == pool]
        assert locks == {f"refrain-{name}.lock" for name in [*ran, "fetch"]}


@pytest.mark.server
@pytest.mark.usefixtures("deployed")
def test_a_cancelled_run_cancels_what_it_has_placed_and_the_next_goes_on(
    home: Project, api: Api, tmp_path: Path
) -> None:
    trainings = clone(home, tmp_path / "trainings")
    for old, new in LONG:
        home.edit(old, new)
    home.edit("checkpoint_seconds: 0.2", "checkpoint_seconds: 1000.0")
    home.run("dvc", "repro", "encode_corpus")
    with worker(trainings, "gpu"):
        for sign in ("gru: epoch", "gru: going on from its checkpoint"):
            before = {run["id"] for run in api.flow_runs()}
            process = home.start("python", "-m", "flows.reproduce", "train@gru", "--pool", "training=gpu")
            wait_for(partial(is_said, api, before, sign), sign)
            os.kill(process.pid, signal.SIGTERM)
            process.communicate(timeout=60)
            wait_for(partial(are_cancelled, api, before), "end")
            saved = trainings.folder / ".git/refrain-train-gru-checkpoints/gru.safetensors"
            wait_for(saved.exists, "checkpoint")


@pytest.mark.server
@pytest.mark.usefixtures("deployed")
def test_a_nightly_run_places_its_stages_too(again: Project, api: Api, tmp_path: Path) -> None:
    again.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "remote"))
    again.edit("  gru: {cell: gru, hidden_size: 16", "  gru: {cell: gru, hidden_size: 18")
    again.edit("max_regression: 0.01", "max_regression: 9.0")
    again.commit("a larger GRU")
    trainings = clone(again, tmp_path / "trainings")
    with worker(trainings, "gpu"):
        result = run_flow(again, "retrain", "--pool", "training=gpu")
    assert result.returncode == 0, result.stderr
    run = next(run for run in api.flow_runs() if "Retrain: perplexity" in run["state"]["message"])
    tasks = api.task_runs(run["id"], {"train@rnn": "Cached", "train@gru": "Completed"})
    assert tasks["train@gru"]["state"]["message"].endswith(" on pool gpu")
    again.run("dvc", "checkout")
    assert "up to date" in again.run("dvc", "status").stdout


@pytest.mark.server
@pytest.mark.usefixtures("deployed")
def test_a_placed_stage_that_is_killed_is_placed_again(home: Project, api: Api, tmp_path: Path) -> None:
    trainings = clone(home, tmp_path / "trainings")
    for old, new in LONG:
        home.edit(old, new)
    home.run("dvc", "repro", "encode_corpus")
    before = {run["id"] for run in api.flow_runs()}
    with worker(trainings, "gpu"):
        process = home.start("python", "-m", "flows.reproduce", "train@gru", "--pool", "training=gpu")
        wait_for(partial(is_said, api, before, "gru: epoch"), "training")
        (run,) = placed(api, before)
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"PREFECT__FLOW_RUN_ID={run['id']}".encode() in (path / "environ").read_bytes():
                    os.kill(int(path.name), signal.SIGKILL)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    states = [run["state"]["type"] for run in placed(api, before)]
    assert states == ["COMPLETED", "CRASHED"]
    assert "up to date" in home.run("dvc", "status", "train@gru").stdout


def placed(api: Api, before: set[str]) -> list[dict]:
    return [run for run in api.flow_runs() if run["id"] not in before and run["name"] == "train@gru"]


def is_said(api: Api, before: set[str], sign: str) -> bool:
    return any(sign in line for run in placed(api, before) for line in api.logs(run["id"]))


def are_cancelled(api: Api, before: set[str]) -> bool:
    return all(run["state"]["type"] == "CANCELLED" for run in placed(api, before))


@pytest.mark.server
@pytest.mark.usefixtures("deployed")
def test_errors_of_placed_stages_are_the_stages_own(home: Project, api: Api, tmp_path: Path) -> None:
    other = clone(home, tmp_path / "other")
    home.edit("  batch_size: 8\n", "  batch_size: 2000\n")
    home.run("dvc", "repro", "encode_corpus")
    with worker(other, "gpu"):
        result = run_flow(home, "reproduce", "train@gru", "--pool", "training=gpu")
        assert "error: train@gru: the training split has 2400 characters and needs 4000" in result.stderr
        other.run("git", "remote", "remove", "origin")
        home.commit("not known there")
        result = run_flow(home, "reproduce", "train@gru", "--pool", "training=gpu")
        assert "is not known on this stage's machine" in result.stderr
        assert placed(api, set())[0]["state"]["message"].endswith("git push it")


@pytest.mark.server
@pytest.mark.usefixtures("deployed")
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


def test_a_pool_has_two_sides(project: Project) -> None:
    result = run_flow(project, "reproduce", "--pool", "gpu")
    assert result.stderr.endswith("--pool gpu: it should be LABEL=POOL\n")
    result = run_flow(project, "reproduce", "--pool", "training=gpu")
    assert "--pool: set PREFECT_API_URL" in result.stderr
