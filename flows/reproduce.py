"""The pipeline as a Prefect flow: one task run for each DVC stage, side by side where DVC's graph allows it.

Run as a program (``python -m flows.reproduce``), it needs no server; with PREFECT_API_URL it reports there.
"""

import argparse
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.server.command_line import add_pool_option, run_as_program
from flows.server.publish import check_revision, publish_changes, publish_report_link, publish_results
from flows.server.stage_log import StageLog
from flows.server.states import completed, states_from_errors, step
from flows.stages.tasks import prepare_folder, run_stages
from flows.workspace.experiment import changed_params, options_for_text
from flows.workspace.programs import Programs
from pipeline.errors import RefrainError
from pipeline.params.load import PARAMS_FILE, load_params
from pipeline.reporting.changes import CHANGES


@flow(name="reproduce")
@states_from_errors
def reproduce(
    targets: list[str] | None = None,
    force: bool = False,
    max_parallel: int | None = None,
    set_params: list[str] | None = None,
    compare_to: str = "HEAD",
    pools: dict[str, str] | None = None,
) -> State[None]:
    """Run what has changed of the pipeline in the current folder.

    ``targets`` are stages (``train``, ``train@gru``; none: all). With ``force``, unchanged ones run, too. At
    most ``max_parallel`` stages (none: one per core) run at a time and share the cores. ``set_params``
    (``models.gru.hidden_size=512``) runs the whole pipeline as a DVC experiment instead, and leaves the
    workspace as it is. Figures are shown beside those of the revision ``compare_to``. ``pools`` names the
    work pools of stages that run on other machines, by label or name (``{"training": "gpu"}``).
    """
    folder = Path.cwd()
    load_params(folder / PARAMS_FILE)
    check_revision(folder, compare_to)
    if set_params:
        if targets or force or pools:
            raise RefrainError("set_params runs the whole pipeline here: leave targets, force and pools out")
        return run_experiment(folder, set_params, compare_to)
    updated = run_stages(folder, targets or [], force, max_parallel, pools or {})
    publish_results(folder, compare_to, CHANGES)
    publish_report_link(folder)
    return completed(updated)


def run_experiment(folder: Path, set_params: list[str], compare_to: str) -> State[None]:
    """Run the pipeline with other parameters, as a DVC experiment in a folder of its own."""
    corpus = changed_params(folder / PARAMS_FILE, set_params).corpus.path
    prepare_folder(folder, corpus, {})
    programs = Programs(folder)
    try:
        name = run_dvc_experiment(programs, set_params, options_for_text(folder, corpus))
    finally:
        programs.stop()
    publish_changes(folder, compare_to, name)
    return Completed(message=f"experiment {name}: `dvc exp show`, `dvc exp apply {name}`")


@step("experiment")
def run_dvc_experiment(programs: Programs, set_params: list[str], options: list[str]) -> str:
    """Run ``dvc exp run --temp``, and return the experiment's name."""
    name = f"flow-{str(flow_run.id)[-12:]}"
    changes = [f"--set-param={change}" for change in set_params]
    command = ["exp", "run", "--temp", "--name", name, *changes, *options]
    log = StageLog("experiment")
    with log.progress() as variables:
        programs.dvc(*command, on_line=log.write_line, variables=variables)
    return name


def main() -> None:
    """Run the flow from the command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.reproduce", description=__doc__)
    parser.add_argument("targets", nargs="*", help="stages (all)")
    parser.add_argument("--force", action="store_true", help="run unchanged stages, too")
    parser.add_argument("--max-parallel", type=int, help="stages that may run at a time (one per core)")
    parser.add_argument("-S", "--set-param", action="append", dest="set_params", metavar="KEY=VALUE")
    parser.add_argument("--compare-to", default="HEAD", help="revision to show differences to (HEAD)")
    add_pool_option(parser)
    run_as_program(reproduce, parser)


if __name__ == "__main__":
    main()
