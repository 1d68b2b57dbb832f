"""Names of models that mean something to a shell or in a path, under plain `dvc repro`."""

import json
from pathlib import Path

import pytest

from tests.support.project import Project

NAMES = [
    "$(touch y)",
    "`touch y`",
    "it's",
    "a'; touch y; '",
    "a\ntouch y",
    'a"b',
    "-x",
    "../x",
    "/tmp/x",
    ".",
    "a/b",
    "分开",
    "n" * 300,
]


def name_model(project: Project, name: str) -> None:
    """Call the only model of a project by that name."""
    project.edit("  gru: {cell: gru, hidden_size: 16, num_layers: 2, dropout: 0.2}\n", "")
    project.edit("  rnn:", f"  {json.dumps(name)}:")


def files(folder: Path) -> dict[str, bytes]:
    """All files of a project and around it, except those of DVC and git, with their content."""
    found = (path for path in folder.rglob("*") if path.is_file())
    names = ((str(path.relative_to(folder)), path) for path in found)
    return {
        name: path.read_bytes()
        for name, path in names
        if not {".dvc", ".git", "__pycache__"} & set(path.relative_to(folder).parts)
    }


@pytest.fixture
def with_neighbours(project: Project) -> Project:
    """A project, with files where names that climb would have their outputs."""
    for name in ("../x.safetensors", "x.safetensors", "x.json", "x/samples.jsonl", "../x/samples.jsonl"):
        path = project.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    return project


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("x;touch y", "a'\ntouch y #", "../../x")),
        *(pytest.param(name, marks=pytest.mark.doors) for name in NAMES),
    ],
)
def test_dvc_repro_runs_and_deletes_nothing_in_a_wrong_name(with_neighbours: Project, name: str) -> None:
    project = with_neighbours
    name_model(project, name)
    before = files(project.folder.parent)
    result = project.run("dvc", "repro", check=False)
    assert result.returncode
    assert files(project.folder.parent) == before
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: params.yaml: models.")
    assert len(line) < 400


@pytest.mark.doors
@pytest.mark.parametrize("command", [["repro", "train"], ["exp", "run"], ["repro", "--force", "report"]])
def test_other_commands_of_dvc_begin_with_the_check_too(with_neighbours: Project, command: list[str]) -> None:
    project = with_neighbours
    name_model(project, "../../x;touch y")
    before = files(project.folder.parent)
    result = project.run("dvc", *command, check=False)
    assert result.returncode
    assert "error: params.yaml: models.../../x;touch y" in result.stderr
    assert files(project.folder.parent) == before


@pytest.mark.doors
@pytest.mark.parametrize("name", ["x;touch y", "$(touch y)", "a'; touch y; '", "a'\ntouch y #", "-x"])
def test_dvc_quotes_a_name_also_where_the_check_is_skipped(project: Project, name: str) -> None:
    name_model(project, name)
    project.edit("  code:", "  unused:", "dvc.yaml")
    (project.folder / "code.json").write_text('{"train": "1"}')
    for path in ("data/vocab.parquet", "data/encoded"):
        (project.folder / path).write_text("")
    before = files(project.folder)
    result = project.run("dvc", "repro", "--single-item", f"train@{name}", check=False)
    assert result.returncode
    assert files(project.folder) == before


def test_a_stage_takes_a_name_as_people_and_as_dvc_give_it(project: Project) -> None:
    for arguments in (["none"], ["--model", "none"], ["--model=none"]):
        result = project.stage("train", *arguments, check=False)
        assert "error: params.yaml has no model 'none': choose from rnn, gru" in result.stderr
    for arguments in ([], ["rnn", "--model", "gru"]):
        assert project.stage("train", *arguments, check=False).returncode == 2
