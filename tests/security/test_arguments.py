"""Flows' parameters, which whoever reaches the server can set, are no options and no expressions."""

from pathlib import Path

import pytest

from flows.server.publish import check_revision
from flows.stages.graph import read_stages
from flows.stages.worker import run_on_worker
from flows.workspace.experiment import changed_params, options_for_text
from flows.workspace.git import run_git
from flows.workspace.shared_ref import find_ref
from flows.workspace.worktrees import branch_worktree
from pipeline.errors import RefrainError
from tests.support.project import Project

COMMIT = "0" * 40


@pytest.mark.parametrize(
    "branch", ["--all", "main~0", "main^{/start}", "../../HEAD", "@{-1}", "a\0b", "a\nb", ""]
)
def test_a_branch_is_a_name(project: Project, branch: str) -> None:
    with pytest.raises(RefrainError), branch_worktree(project.folder, branch):
        pass


@pytest.mark.parametrize("target", ["--force", "-f", "../other/dvc.yaml:train", "train@gru\0"])
def test_targets_are_stages(project: Project, target: str) -> None:
    with pytest.raises(RefrainError, match="targets: there is no stage"):
        read_stages(project.folder, [target])


def test_a_stage_whose_name_is_an_option_is_refused(project: Project) -> None:
    with (project.folder / "dvc.yaml").open("a") as file:
        file.write("  --force:\n    cmd: echo\n")
    with pytest.raises(RefrainError, match="its name begins with a dash"):
        read_stages(project.folder)


@pytest.mark.parametrize("revision", ["--help", "-x", "a\0b", "HEAD; id"])
def test_a_revision_is_a_revision(project: Project, revision: str) -> None:
    with pytest.raises(RefrainError, match="compare_to: "):
        check_revision(project.folder, revision)


@pytest.mark.parametrize(
    "change", ["--temp", "../evil.yaml:seed=2", "dvc.yaml:stages=1", "-f", "seed", "a\0=1"]
)
def test_changes_are_of_params_yaml(project: Project, change: str) -> None:
    with pytest.raises(RefrainError, match="set_params: "):
        changed_params(project.folder / "params.yaml", [change])


def test_a_text_is_no_option_of_dvc(project: Project) -> None:
    (project.folder / "--force").write_text("a text")
    assert options_for_text(project.folder, "--force") == ["--copy-paths=--force"]


@pytest.mark.parametrize(
    ("stage", "ref", "commit"),
    [
        ("train@gru", "refs/refrain/0f/train-rnn", COMMIT),
        ("x" * 5000, "refs/refrain/0f/x", COMMIT),
        ("train@gru", "refs/heads/train-gru", COMMIT),
        ("train@gru", "refs/refrain/../heads/train-gru", COMMIT),
        ("train@gru", "--upload-pack=touch x/train-gru", COMMIT),
        ("train@gru", "refs/refrain/0f/train-gru", "--help"),
        ("train@gru", "refs/refrain/0f/train-gru", "HEAD"),
        ("train@gru", "refs/refrain/0f/train-gru", COMMIT + "\n"),
    ],
)
def test_a_worker_runs_only_states_that_were_sent_for_a_stage(
    project: Project, monkeypatch: pytest.MonkeyPatch, stage: str, ref: str, commit: str
) -> None:
    monkeypatch.chdir(project.folder)
    if ref.endswith("/train-gru"):
        with pytest.raises(RefrainError, match="is not the state of a run"):
            find_ref(project.folder, ref, commit)
    else:
        state = run_on_worker.fn(stage, ref, commit)
        assert state.is_failed()
        assert "was not sent for this stage" in state.message


def test_a_commit_without_a_ref_is_not_run(project: Project) -> None:
    head = run_git(project.folder, "rev-parse", "HEAD")
    with pytest.raises(RefrainError, match="is not known on this stage's machine"):
        find_ref(Path(project.folder), "refs/refrain/0f/train-gru", head)
