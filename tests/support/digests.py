"""Digests of stages, of the project's code and of changed copies of it."""

import shutil
from pathlib import Path

from pipeline.code_digest import imported_modules, program_digest
from tests.support.project import ROOT

STAGES = sorted(path.stem for path in (ROOT / "pipeline/stages").glob("*.py") if path.stem != "__init__")
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "pipeline").rglob("*.py"))


def copy_code(root: Path) -> Path:
    """Copy the pipeline's code to the new folder ``root``."""
    shutil.copytree(ROOT / "pipeline", root / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def digests(root: Path) -> dict[str, str]:
    """Those of all stages. A file is read only once in a process, so each state needs a folder of its own."""
    return {stage: program_digest(f"pipeline.stages.{stage}", root) for stage in STAGES}


def files_of(stage: str) -> set[str]:
    return {found.path for found in imported_modules(f"pipeline.stages.{stage}")}
