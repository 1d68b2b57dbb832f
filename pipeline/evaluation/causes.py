"""What differs between two revisions besides their figures, by kind."""

from typing import Any

from pipeline import artifacts
from pipeline.params.recipes import RESULT_SECTIONS, flattened
from pipeline.params.shown import shown_change
from pipeline.params.yaml import parse_yaml
from pipeline.revisions import Revision, models_of, params_of
from pipeline.versions import COMPUTING_PACKAGES, CONSTRAINTS, PIN


def causes(before: Revision, after: Revision) -> dict[str, list[str]]:
    """Differences in code, parameters, text, versions and machine, each in words; empty if there are none."""
    old, new = _params(before), _params(after)
    found = {
        "code": _changed_code(before, after),
        "parameters": [shown_change(key, old, new) for key in _changed(old, new)],
        "text": _changed(_text(before), _text(after)),
        "versions": _changed_values(_versions(before), _versions(after)),
        "trained on": _changed_values(_machines(before), _machines(after)),
    }
    return {kind: differences for kind, differences in found.items() if differences}


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def _changed_values(before: dict[str, str], after: dict[str, str]) -> list[str]:
    sides = before, after
    return [
        f"{name}: {' -> '.join(side.get(name, 'unknown') for side in sides)}" for name in _changed(*sides)
    ]


def _changed_code(before: Revision, after: Revision) -> list[str]:
    """Stages with other code. If one side has no digests, which DVC deletes before it makes them, none."""
    old, new = (revision.read_json(artifacts.CODE) for revision in (before, after))
    return _changed(old, new) if old and new else []


def _params(revision: Revision) -> dict[str, Any]:
    values = params_of(revision)
    return dict(flattened({section: values.get(section) for section in RESULT_SECTIONS}))


def _text(revision: Revision) -> dict[str, Any]:
    """DVC's digest of the text."""
    content = revision.read(artifacts.DVC_LOCK)
    lock = parse_yaml(content.decode(), f"{revision.name}: {artifacts.DVC_LOCK}") if content else {}
    path = _params(revision).get("corpus.path")
    try:
        deps = lock["stages"]["build_vocab"]["deps"]
        return {"the corpus": [dep.get("md5") for dep in deps if dep["path"] == path]}
    except (KeyError, TypeError, AttributeError):  # it has not run yet, or somebody has edited the file
        return {"the corpus": []}


def _versions(revision: Revision) -> dict[str, str]:
    pins = (revision.read(CONSTRAINTS) or b"").decode()
    return {name: version for name, version, _ in PIN.findall(pins) if name in COMPUTING_PACKAGES.values()}


def _machines(revision: Revision) -> dict[str, str]:
    evaluated = {model: revision.read_json(artifacts.evaluation_path(model)) for model in models_of(revision)}
    return {model: found["trained_on"] for model, found in evaluated.items() if "trained_on" in found}
