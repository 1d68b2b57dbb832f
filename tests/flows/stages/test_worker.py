import re

import pytest

from flows.stages.worker import run_in_worktree
from flows.workspace.programs import Programs
from pipeline.errors import RefrainError
from tests.support.project import Project


def test_a_worker_with_other_versions_than_the_runs_does_not_run_its_stages(project: Project) -> None:
    path = project.folder / "constraints.txt"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"^torch==.*", "torch==0.0.1", text, flags=re.MULTILINE), encoding="utf-8")
    with pytest.raises(RefrainError, match=r"^torch .* is installed, but constraints.txt pins 0\.0\.1: "):
        run_in_worktree(Programs(project.folder), project.folder, "train@gru", force=False)
