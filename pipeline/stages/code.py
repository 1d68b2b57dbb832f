"""Stage code: check params.yaml, then write one digest per stage of what its code means."""

from pathlib import Path

from pipeline.artifacts import CODE, write_json
from pipeline.code_digest import program_digest
from pipeline.params.load import load_params
from pipeline.program import run_stage


def main() -> None:
    """Write ``code.json``.

    All other stages depend on it. So DVC deletes and runs nothing in the name of a model before this check.
    """
    load_params()
    stages = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py") if path != Path(__file__))
    write_json(CODE, {stage: program_digest(f"pipeline.stages.{stage}") for stage in stages})


if __name__ == "__main__":
    run_stage(main)
