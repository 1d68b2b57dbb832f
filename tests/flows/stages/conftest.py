"""A project that can send its stages to work pools."""

from pathlib import Path

import pytest

from tests.support.project import Project


@pytest.fixture
def home(project: Project, tmp_path: Path) -> Project:
    """A project that has run nothing, with a DVC remote whose path is relative to it, and no git remote."""
    (tmp_path / "remote").mkdir()
    project.run("dvc", "remote", "add", "--default", "store", "../remote")
    project.commit("remote")
    return project
