"""Imports go one way, as CONTRIBUTING.md says."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import ROOT

TOP = ("training", "evaluation", "generation", "reporting")  # a tuple: all workers collect in one order
BELOW = {
    "pipeline": {
        "params": set(),
        "text": {"params"},
        "data": {"text", "params"},
        "arithmetic": set(),
        "nn": {"arithmetic", "text", "params"},
        **{folder: {*TOP, "nn", "arithmetic", "data", "text", "params"} for folder in TOP},
        "stages": {*TOP, "nn", "data", "text", "params"},
        "commands": {*TOP, "nn", "data", "text", "params"},
    },
    "flows": {"workspace": set(), "server": {"workspace"}, "stages": {"server", "workspace"}},
}
CASES = [(package, folder) for package, folders in BELOW.items() for folder in folders]


def imported(path: Path) -> Iterator[str]:
    """Names of the modules that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize(("package", "folder"), CASES)
def test_a_folder_imports_only_those_below_it(package: str, folder: str) -> None:
    inside = {path.name for path in (ROOT / package).iterdir() if path.is_dir()}
    for path in (ROOT / package / folder).rglob("*.py"):
        names = [name.split(".") for name in imported(path)]
        folders = {parts[1] for parts in names if parts[0] == package and parts[1] in inside}
        assert folders <= {folder, *BELOW[package][folder]}, path


def test_every_folder_has_its_place() -> None:
    for package, folders in BELOW.items():
        found = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert found == folders.keys()
