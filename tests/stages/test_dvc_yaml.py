"""dvc.yaml against the code and the parameters."""

import json

import pytest
from ruamel.yaml import YAML

from tests.support.project import ROOT

STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def declared_params(stage: str) -> dict[str, list[str]]:
    """Keys of params files that a stage depends on, by file."""
    found: dict[str, list[str]] = {"params.yaml": []}
    for entry in STAGES[stage].get("params", []):
        if isinstance(entry, dict):
            found |= entry
        else:
            found["params.yaml"].append(entry)
    return found


def test_it_names_no_source_file() -> None:
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert ".py" not in text
    assert len(text.splitlines()) <= 90


@pytest.mark.parametrize("stage", sorted(set(STAGES) - {"code"}))
def test_a_stage_depends_on_its_own_digest_and_no_other(stage: str) -> None:
    assert declared_params(stage)["code.json"] == [stage]


def test_every_stage_has_its_module_and_its_digest() -> None:
    modules = {path.stem for path in (ROOT / "pipeline" / "stages").glob("*.py")} - {"__init__"}
    assert modules == set(STAGES)
    for name, stage in STAGES.items():
        assert stage["cmd"].removesuffix(" ${item}") == f"python -m pipeline.stages.{name}"
    digests = json.loads((ROOT / "code.json").read_text(encoding="utf-8"))
    assert set(digests) == set(STAGES) - {"code"}


def test_no_stage_depends_on_how_and_where_it_runs() -> None:
    for stage in STAGES:
        assert not {"runtime", "gate"} & {
            key.partition(".")[0] for key in declared_params(stage)["params.yaml"]
        }


@pytest.mark.parametrize("stage", sorted(set(STAGES) - {"code"}))
def test_dvcs_run_cache_can_hold_every_stage(stage: str) -> None:
    """It leaves out stages with outputs that DVC does not cache, unless they are metrics or plots."""
    for entry in STAGES[stage]["outs"]:
        assert isinstance(entry, str), f"{entry} is not cached"


def test_metrics_and_plots_are_kept_by_git() -> None:
    for stage in STAGES.values():
        for kind in ("metrics", "plots"):
            for entry in stage.get(kind, []):
                ((_, settings),) = entry.items()
                assert settings["cache"] is False


def test_names_of_models_reach_a_shell_only_where_dvc_quotes_them() -> None:
    for stage in STAGES.values():
        assert "${item." not in stage["cmd"]
        assert ("matrix" in stage) == stage["cmd"].endswith(" ${item}")
