"""Stage code: what the code of each stage here means, as one digest a stage."""

from pipeline.artifacts import CODE, write_json
from pipeline.code_digest import program_digest
from pipeline.program import run_program
from pipeline.versions import check_versions
from replications.results import FOLDER

STAGES = ("overlays", "run", "report")
"""Modules of this package that stages run, besides this one."""


def main() -> None:
    """Write ``replications/code.json``."""
    check_versions()
    write_json(FOLDER / CODE, {stage: program_digest(f"replications.{stage}") for stage in STAGES})


if __name__ == "__main__":
    run_program(main)
