"""replications/dvc.yaml against the code, the recipes and the results in git."""

import json
import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.code_digest import imported_modules
from pipeline.params.recipes import load_recipe
from replications.code import STAGES as DIGESTED
from replications.run import only_model, parse_changes
from tests.support.project import ROOT
from tests.support.replications import NAMES

TEXT = (ROOT / "replications/dvc.yaml").read_text(encoding="utf-8")
CONTENT = YAML(typ="safe").load(TEXT)
STAGES: dict[str, Any] = {name: stage.get("do", stage) for name, stage in CONTENT["stages"].items()}
TEMPLATE_VALUES = {key: value for entry in CONTENT["vars"] for key, value in entry.items()}


def module_of(stage: str) -> str:
    """The module that a stage runs, in the project's folder."""
    match = re.match(r"cd \.\. && python -m replications\.(\w+)( |$)", STAGES[stage]["cmd"])
    assert match
    return match[1]


def params_of(stage: str) -> dict[str, list[str]]:
    return {file: keys for entry in STAGES[stage].get("params", []) for file, keys in entry.items()}


def test_it_names_no_source_file() -> None:
    assert ".py" not in TEXT


@pytest.mark.parametrize("stage", sorted(set(STAGES) - {"code"}))
def test_a_stage_depends_on_its_own_digest_and_no_other(stage: str) -> None:
    assert params_of(stage)["code.json"] == [module_of(stage)]


def test_every_stage_has_its_digest() -> None:
    assert {module_of(stage) for stage in STAGES} == {"code", *DIGESTED}
    digests = json.loads((ROOT / "replications/code.json").read_text(encoding="utf-8"))
    assert set(digests) == set(DIGESTED)


@pytest.mark.parametrize("stage", DIGESTED)
def test_a_stage_imports_nothing_of_the_flows(stage: str) -> None:
    paths = {module.path for module in imported_modules(f"replications.{stage}")}
    assert not [path for path in paths if path.startswith("flows/")]


def test_a_new_page_trains_nothing() -> None:
    paths = {module.path for module in imported_modules("replications.run")}
    assert not [path for path in paths if path.startswith(("replications/pages", "pipeline/reporting"))]
    assert not list((ROOT / "replications").glob("*.j2")), "they would be part of every program's digest"


@pytest.mark.parametrize("stage", sorted({"overlays", "lyrics", "time_machine", "exercise"}))
def test_dvcs_run_cache_can_hold_all_that_takes_time(stage: str) -> None:
    """It leaves out stages with outputs that DVC does not cache, unless they are metrics or plots."""
    assert all(isinstance(entry, str) for entry in STAGES[stage]["outs"])
    for entry in STAGES[stage].get("metrics", []):
        ((_, settings),) = entry.items()
        assert settings == {"cache": False}


def test_git_has_the_results_of_all_runs_and_of_no_other() -> None:
    stages = CONTENT["stages"]
    names = [*stages["lyrics"]["matrix"]["recipe"], *stages["time_machine"]["matrix"]["recipe"]]
    names += stages["exercise"]["foreach"]
    assert sorted(names) == NAMES


@pytest.mark.parametrize("name", CONTENT["stages"]["exercise"]["foreach"])
def test_what_an_exercise_changes_is_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    item = CONTENT["stages"]["exercise"]["foreach"][name]
    changes = item["set"]
    for key, value in TEMPLATE_VALUES.items():
        changes = changes.replace(f"${{{key}}}", value)
    params = load_recipe(item["recipe"], parse_changes(changes.split()))
    assert only_model(item["recipe"], params) in ("rnn", "gru")
    stored = json.loads((ROOT / f"replications/results/{name}.json").read_text(encoding="utf-8"))
    assert stored["recipe"] == item["recipe"]
    assert stored["changes"] == changes.split()
