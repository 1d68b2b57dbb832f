"""The flow `retrain` against a real server."""

from pathlib import Path

import pytest

from flows.workspace.git import run_git
from tests.support.prefect import Api, run_flow
from tests.support.project import Project

pytestmark = pytest.mark.server


def with_remote(project: Project) -> Path:
    """The folder that is the project's DVC remote from now on."""
    remote = project.folder.parent / "remote"
    project.run("dvc", "remote", "add", "-d", "store", str(remote))
    return remote


def test_accepts_and_then_rests(again: Project, api: Api) -> None:
    remote = with_remote(again)
    again.edit("  length: 20", "  length: 21")
    again.commit("longer samples")
    head = run_git(again.folder, "rev-parse", "HEAD")

    result = run_flow(again, "retrain")
    assert result.returncode == 0, result.stderr
    run = api.flow_runs()[0]
    assert run["state"]["type"] == "COMPLETED"
    tasks = api.task_runs(run["id"], {"train@gru": "Cached", "generate@gru": "Completed"})
    assert tasks["generate@gru"]["state"]["message"].startswith("ran in")
    assert run_git(again.folder, "rev-parse", "HEAD~1") == head
    message = run_git(again.folder, "log", "-1", "--format=%B")
    assert message.startswith("Retrain: perplexity rnn +0.00%, gru +0.00%")
    assert "gru test " in message
    assert run_git(again.folder, "status", "--porcelain") == ""
    again.run("dvc", "checkout")
    assert "up to date" in again.run("dvc", "status").stdout
    assert list(remote.rglob("*")), "data went to the default remote"
    assert {"gate", "metrics", "changes", "samples"} <= set(api.artifacts(run["id"]))

    result = run_flow(again, "retrain")
    assert result.returncode == 0, result.stderr
    assert api.flow_runs()[0]["state"]["name"] == "Cached"
    assert run_git(again.folder, "rev-parse", "HEAD~1") == head


def test_refuses_a_worse_model_and_uncommitted_changes(again: Project, api: Api) -> None:
    again.edit("max_chars: 3000", "max_chars: 12000")  # so that the held-out text has intervals
    again.run("dvc", "repro")
    remote = with_remote(again)
    again.edit("  gru: {cell: gru,", "  gru: {cell: gru, train: {epochs: 1, learning_rate: 1.0e-6},")
    again.commit("a worse GRU")
    again.run("dvc", "push")
    head, lock = run_git(again.folder, "rev-parse", "HEAD"), (again.folder / "dvc.lock").read_bytes()
    stored = set(remote.rglob("*"))
    result = run_flow(again, "retrain")
    assert result.returncode == 1
    reason = api.flow_runs()[0]["state"]["message"]
    assert "gru test " in reason
    assert "95% interval" in reason
    assert "worse by more than 1.00%" in reason
    assert "rnn" not in reason
    assert run_git(again.folder, "rev-parse", "HEAD") == head
    assert (again.folder / "dvc.lock").read_bytes() == lock
    assert set(remote.rglob("*")) == stored
    assert run_git(again.folder, "status", "--porcelain") == ""

    (again.folder / "params.yaml").write_text("half an edit")
    result = run_flow(again, "retrain")
    assert "error: branch main has uncommitted changes" in result.stderr


def test_push_sends_what_the_run_has_made_and_nothing_else(again: Project, tmp_path: Path) -> None:
    again.run("git", "clone", "-q", "--bare", ".", str(tmp_path / "origin.git"))
    again.run("git", "remote", "add", "origin", str(tmp_path / "origin.git"))
    again.run("git", "fetch", "-q", "origin")
    again.run("git", "branch", "-q", "--set-upstream-to=origin/main")
    again.edit("epochs: 4", "epochs: 3")
    again.edit("max_regression: 0.01", "max_regression: 9.0")
    again.commit("shorter trainings")
    result = run_flow(again, "retrain", "--push")
    assert result.returncode == 0, result.stderr
    pushed = run_git(again.folder, "rev-parse", "HEAD")
    assert run_git(again.folder, "ls-remote", "origin", "main").split()[0] == pushed
    (again.folder / "notes.txt").write_text("the user's own")
    again.commit("not to be published yet")
    result = run_flow(again, "retrain", "--push")
    assert result.returncode == 0, result.stderr
    assert run_git(again.folder, "ls-remote", "origin", "main").split()[0] == pushed


def test_what_reproduce_has_trained_is_not_trained_again(again: Project, api: Api) -> None:
    again.edit("epochs: 4", "epochs: 5")
    again.edit("max_regression: 0.01", "max_regression: 9.0")
    again.commit("longer trainings")
    result = run_flow(again, "reproduce")
    assert result.returncode == 0, result.stderr
    hashes = again.hashes()
    again.run("git", "checkout", ".")
    result = run_flow(again, "retrain")
    assert result.returncode == 0, result.stderr
    tasks = api.task_runs(api.flow_runs()[0]["id"], {"train@rnn": "Completed", "train@gru": "Completed"})
    for model in ("rnn", "gru"):
        assert tasks[f"train@{model}"]["state"]["message"].startswith("restored from DVC's run cache")
    again.run("dvc", "checkout")
    assert again.hashes() == hashes


def test_refreshes_texts_from_the_catalogue_and_imports(
    again: Project, api: Api, web: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REFRAIN_CORPORA", raising=False)
    address, served = web
    text = (again.folder / "data/raw/lyrics.txt").read_text(encoding="utf-8")
    (served / "songs.txt").write_text(text, encoding="utf-8")
    (served / "notes.txt").write_text("one", encoding="utf-8")
    with (again.folder / "data/catalog.yaml").open("a", encoding="utf-8") as file:
        file.write(
            f"\nsongs:\n  url: {address}/songs.txt\n  file: songs.txt\n  sha256: null\n"
            "  normalize: lyrics\n  licence: CC0\n"
        )
    again.edit("path: data/raw/lyrics.txt", "path: data/raw/songs.txt")
    again.edit("  max_chars: 3000", "  max_chars: 1000")
    (again.folder / "imported").mkdir()
    again.run("dvc", "import-url", f"{address}/notes.txt", "imported/notes.txt")
    again.commit("a text from the catalogue, and an import")
    (served / "notes.txt").write_text("two!", encoding="utf-8")
    result = run_flow(again, "retrain")
    assert result.returncode == 0, result.stderr
    changed = run_git(again.folder, "show", "--name-only", "--format=")
    assert "imported/notes.txt.dvc" in changed
    assert "size: 4" in (again.folder / "imported/notes.txt.dvc").read_text()
    (served / "songs.txt").write_text("另" + text, encoding="utf-8")
    result = run_flow(again, "retrain")
    assert result.returncode == 0, result.stderr
    tasks = api.task_runs(api.flow_runs()[0]["id"], {"build_vocab": "Completed"})
    assert tasks["build_vocab"]["state"]["message"].startswith("ran in"), "the text is a new one"
