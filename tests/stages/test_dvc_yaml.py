"""dvc.yaml against the code and the parameters."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT
from tests.imports import closure

STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def declared_files(stage: str) -> set[str]:
    files: set[str] = set()
    for dep in STAGES[stage]["deps"]:
        path = ROOT / dep
        if dep.startswith("pipeline"):
            files |= {str(p.relative_to(ROOT)) for p in path.rglob("*.py")} if path.is_dir() else {dep}
    return files


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_just_the_files_it_imports(stage: str) -> None:
    imported = closure(f"pipeline.stages.{stage}")
    assert imported <= declared_files(stage)
    if stage != "report":  # it names the commit of all code
        assert declared_files(stage) == imported


def test_every_stage_has_its_module() -> None:
    modules = {path.stem for path in (ROOT / "pipeline" / "stages").glob("*.py")} - {"__init__"}
    assert modules == set(STAGES)
    for name, stage in STAGES.items():
        assert stage["cmd"].removesuffix(" ${item.model}") == f"python -m pipeline.stages.{name}"


@pytest.mark.parametrize("key", ["device", "threads", "checkpoint_seconds"])
def test_no_stage_depends_on_how_and_where_it_runs(key: str) -> None:
    for stage in STAGES.values():
        assert key not in {param.partition(".")[0] for param in stage["params"]}


def test_metrics_and_small_reports_are_kept_by_git() -> None:
    for stage in STAGES.values():
        for kind in ("metrics", "plots"):
            for entry in stage.get(kind, []):
                ((_, settings),) = entry.items()
                assert settings["cache"] is False


def test_the_closure_finds_a_lazy_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own instrument: functions' imports count, those for type checkers do not."""
    monkeypatch.setattr("tests.imports.ROOT", tmp_path)
    (tmp_path / "a.py").write_text("if TYPE_CHECKING:\n    import b\ndef f():\n    from c import x\n")
    for name in "bcd":
        (tmp_path / f"{name}.py").write_text("import d\n" if name == "c" else "")
    assert closure("a") == {"a.py", "c.py", "d.py"}
