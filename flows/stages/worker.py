"""The flow that runs one stage on the worker's machine, in a worktree of the clone that the worker works in.

git ref --> worktree --> dvc pull --> dvc repro --> dvc push --> results on the ref

:mod:`flows.stages.remote` sends it the stage.
"""

import time
from contextlib import chdir
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.server.names import slug
from flows.server.stage_log import StageLog
from flows.server.states import states_from_errors
from flows.stages.graph import available_cores, read_stage, reads
from flows.stages.listings import pull
from flows.stages.runner import LocalRunner
from flows.stages.state import commit_state
from flows.workspace.git import repository_root
from flows.workspace.programs import Programs
from flows.workspace.shared_ref import find_ref
from flows.workspace.texts import copy_ignored_texts
from flows.workspace.worktrees import exclusive_lock, worktree
from pipeline.errors import RefrainError
from pipeline.params.load import PARAMS_FILE, load_params
from pipeline.versions import check_versions


@flow(name="stage")
@states_from_errors
def run_on_worker(stage: str, ref: str, commit: str, force: bool = False) -> State[None]:
    """Run a stage on ``commit``, the files that the flow has pushed to the git ref ``ref``.

    Results go back as a commit on that ref. With ``force``, the stage runs even if it is unchanged.
    """
    if not ref.endswith(f"/{slug(stage)}"):
        raise RefrainError("the run's state was not sent for this stage: use the same version everywhere")
    started = time.monotonic()
    main, name, log = repository_root(Path.cwd()), f"refrain-{slug(stage)}", get_run_logger().info
    source = find_ref(main, ref, commit)
    with exclusive_lock(main, name, on_wait=log), worktree(main, name, commit) as tree:
        programs = Programs(tree)
        try:
            run_in_worktree(programs, main, stage, force)
        finally:
            programs.stop()
        source.move(commit, commit_state(tree))
    return Completed(message=f"ran and sent results in {time.monotonic() - started:.1f} s")


def run_in_worktree(programs: Programs, main: Path, name: str, force: bool) -> None:
    """Get what a stage reads, run it, and send its data to DVC's remote."""
    tree = programs.folder
    with chdir(tree):
        check_versions()  # the digests in the state are those of the pinned versions
    log, stage = StageLog(name), read_stage(tree, name)
    if stage.upstream:
        pull(programs, *stage.upstream, on_line=log.write_line)
    corpus = load_params(tree / PARAMS_FILE).corpus.path
    if reads(tree, name, corpus) and not (tree / corpus).exists():
        copy_ignored_texts(tree, main, corpus)
    with log.progress() as variables:
        LocalRunner(programs, {name: available_cores()}, force=force).run(stage, log.write_line, variables)
    programs.dvc("push", name, on_line=log.write_line)
