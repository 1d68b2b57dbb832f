"""The replications as a DVC repository of their own, within a real one."""

from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.replications import with_replications

pytestmark = pytest.mark.slow
RUN = "lyrics@gru-torch"


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after one run of a small replication, results committed. Tests leave it as it is."""
    project = with_replications(Project(tmp_path_factory.mktemp("replicated")))
    repro(project)
    project.commit("results")
    return project


@pytest.fixture
def again(replicated: Project, tmp_path: Path) -> Project:
    """A copy of it, to be changed."""
    return Project(tmp_path / "again", copy_of=replicated)


def repro(project: Project, *options: str) -> list[str]:
    """Run what has changed; the lines that say which stages ran."""
    result = project.run("dvc", "--cd", "replications", "repro", *options, RUN)
    return [line for line in result.stdout.splitlines() if line.startswith(("Running", "Stage"))]


def changed_files(project: Project) -> list[str]:
    return project.run("git", "status", "--porcelain").stdout.splitlines()


def test_a_second_run_does_nothing_and_a_forced_one_gives_the_same_bytes(again: Project) -> None:
    samples = again.folder / "replications/samples/gru-torch.json"
    before = samples.read_bytes()
    assert repro(again) == [
        "Running stage 'code':",
        "Stage 'overlays' didn't change, skipping",
        f"Stage '{RUN}' didn't change, skipping",
    ]
    assert not changed_files(again)
    assert repro(again, "--force")[-1] == f"Running stage '{RUN}':"
    assert not changed_files(again), "of what git tracks, dvc.lock included"
    assert samples.read_bytes() == before


def test_comments_train_nothing_and_a_change_that_is_taken_back_does_not_either(again: Project) -> None:
    recipe = "replications/recipes/gru-torch.yaml"
    other = "replications/recipes/default.yaml"
    for file in (recipe, other, "replications/run.py", "pipeline/training/loop.py"):
        path = again.folder / file
        path.write_text(f"# A comment.\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    assert repro(again)[-1] == f"Stage '{RUN}' didn't change, skipping"
    again.edit("epochs: 2", "epochs: 1", recipe)
    assert repro(again)[-1] == f"Running stage '{RUN}':"
    again.edit("epochs: 1", "epochs: 2", recipe)
    assert repro(again)[-1] == f"Stage '{RUN}' is cached - skipping run, checking out outputs"


def test_code_that_a_run_imports_trains_it_again(again: Project) -> None:
    again.edit("e.train_perplexity for", "1 * e.train_perplexity for", "replications/run.py")
    assert repro(again)[-1] == f"Running stage '{RUN}':"


def test_the_projects_own_dvc_does_not_see_them(replicated: Project, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    replicated.run("git", "clone", "-q", ".", str(clone))
    for folder in (replicated.folder, clone):
        for command in (("status",), ("checkout",), ("stage", "list"), ("data", "status")):
            result = replicated.run("dvc", "--cd", str(folder), *command, check=False)
            assert "replications" not in result.stdout + result.stderr
            assert "gru-torch" not in result.stdout + result.stderr


@pytest.mark.usefixtures("corpora")
def test_texts_are_fetched_without_tracking_them(project: Project) -> None:
    with_replications(project)
    (project.folder / "data/raw/jaychou_lyrics.txt.zip").unlink()
    project.run("python", "-m", "replications.fetch")
    raw = {path.name for path in (project.folder / "data/raw").iterdir()}
    assert raw == {".gitignore", "lyrics.txt", "jaychou_lyrics.txt.zip", "timemachine.txt"}
    assert not changed_files(project)
