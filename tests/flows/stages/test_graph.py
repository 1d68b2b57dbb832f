import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flows.stages.graph import Stage, read_stage, read_stages, share_cores
from pipeline.errors import RefrainError
from tests.support.project import ROOT, Project

DATA = {"build_vocab", "encode_corpus"}


def test_graph_is_dvcs_own(project: Project) -> None:
    stages = read_stages(project.folder)
    upstream = {
        "code": set(),
        "build_vocab": {"code"},
        "encode_corpus": {"build_vocab", "code"},
        "baselines": {*DATA, "code"},
    }
    for model in ("rnn", "gru"):
        upstream[f"train@{model}"] = {*DATA, "code"}
        upstream[f"evaluate@{model}"] = {*DATA, f"train@{model}", "code"}
        upstream[f"generate@{model}"] = {*DATA, f"train@{model}", "code"}
    upstream["report"] = upstream.keys() - {"report"}
    assert {stage.name: set(stage.upstream) for stage in stages} == upstream
    done: set[str] = set()
    for stage in stages:
        assert set(stage.upstream) <= done
        done.add(stage.name)
    assert all(stage.to_run for stage in stages)


def test_targets_bring_what_they_need(project: Project) -> None:
    needed = [stage.name for stage in read_stages(project.folder, ["train@gru"])]
    assert needed == ["code", "build_vocab", "encode_corpus", "train@gru"]
    assert {s.name for s in read_stages(project.folder, ["train"])} == {*needed, "train@rnn"}
    with pytest.raises(RefrainError, match="nope"):
        read_stages(project.folder, ["nope"])
    with pytest.raises(RefrainError, match="nope"):
        read_stage(project.folder, "nope")


@pytest.fixture
def chain(new_project: Callable[[str], Project]) -> Project:
    """Two stages, one of them in a folder of its own, both up to date."""
    project = new_project("chain")
    (project.folder / "sub").mkdir()
    (project.folder / "dvc.yaml").write_text("stages:\n  first: {cmd: cp a b, deps: [a], outs: [b]}\n")
    (project.folder / "sub/dvc.yaml").write_text(
        "stages:\n  second: {cmd: cp ../b c, deps: [../b], outs: [c]}\n"
    )
    (project.folder / "a").write_text("1")
    project.run("dvc", "repro", "--all-pipelines")
    return project


def test_what_has_changed_is_to_run_with_all_that_needs_it(
    chain: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def to_run(force: bool = False, targets: Sequence[str] = ("sub/dvc.yaml:second",)) -> dict[str, bool]:
        return {s.name: s.to_run for s in read_stages(chain.folder, targets, force)}

    assert to_run(targets=[]) == {"first": False}, "as `dvc repro`: the folder's own pipeline"
    assert to_run() == {"first": False, "sub/dvc.yaml:second": False}
    assert to_run(force=True) == {"first": True, "sub/dvc.yaml:second": True}
    (chain.folder / "sub/c").write_text("changed")
    monkeypatch.chdir(chain.folder / "sub")  # names do not depend on where we are
    assert to_run() == {"first": False, "sub/dvc.yaml:second": True}
    (chain.folder / "a").write_text("2")
    assert to_run() == {"first": True, "sub/dvc.yaml:second": True}


def test_mistake_in_dvc_yaml_is_one_line(chain: Project) -> None:
    (chain.folder / "dvc.yaml").write_text("stages: {first: {cmd: x, dep: [a]}}\n")
    with pytest.raises(RefrainError) as caught:
        read_stages(chain.folder)
    assert "\n" not in str(caught.value)


STAGES = [
    Stage("vocab", (), True),
    Stage("encode", ("vocab",), True),
    Stage("train@a", ("encode",), True),
    Stage("train@b", ("encode",), True),
    Stage("train@c", ("encode",), False),
    Stage("evaluate", ("train@a", "train@b", "train@c"), True),
]


@pytest.mark.parametrize(
    ("cores", "max_parallel", "training", "alone"),
    [(2, 2, 1, 2), (8, 8, 4, 8), (8, 1, 8, 8), (1, 4, 1, 1), (3, 2, 1, 3)],
)
def test_stages_that_run_at_the_same_time_share_the_cores(
    cores: int, max_parallel: int, training: int, alone: int
) -> None:
    threads = share_cores(STAGES, max_parallel, cores)
    assert threads["train@a"] == threads["train@b"] == training
    assert threads["vocab"] == threads["evaluate"] == alone
    assert set(share_cores(STAGES, max_parallel, cores, most=1).values()) == {1}


def sources() -> list[Path]:
    return sorted((ROOT / "flows").rglob("*.py"))


def test_flows_never_import_torch_nor_a_stage() -> None:
    paths = [path.relative_to(ROOT).with_suffix("") for path in sources() if path.stem != "__init__"]
    modules = ", ".join(".".join(path.parts) for path in paths)
    unwanted = "[name for name in sys.modules if name.startswith(('torch', 'pipeline.stages'))]"
    code = f"import sys, {modules}; sys.exit(str({unwanted}))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stderr.strip() == "[]"


def test_flows_hold_no_copy_of_the_stage_list() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in sources())
    code = [line for line in text.splitlines() if '"""' not in line and "-->" not in line]
    for stage in ("build_vocab", "encode_corpus", "evaluate"):
        assert not [line for line in code if stage in line]
