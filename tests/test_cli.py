"""The `refrain` command."""

import subprocess
import sys

import pytest

from pipeline.cli import COMMANDS
from tests.support.project import Project


def test_help_lists_every_command_and_loads_none() -> None:
    code = """
import sys
from pipeline.cli import main
sys.argv = ["refrain", "--help"]
main()
loaded = {"torch", "pydantic", "dvc", "prefect", "pandas"} & sys.modules.keys()
assert not loaded, loaded
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"  {name}" in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_does_not_wait_for_torch(command: str) -> None:
    code = f"""
import sys
from pipeline.cli import main
sys.argv = ["refrain", "{command}", "--help"]
try:
    main()
except SystemExit as ended:
    assert ended.code == 0
assert "torch" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"usage: refrain {command}" in result.stdout


def test_wrong_commands_and_folders_are_one_line(project: Project) -> None:
    result = project.run("refrain", "wirte", check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("error: unknown command 'wirte': choose from write, ")
    (project.folder / "params.yaml").unlink()
    result = project.run("refrain", "check", check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: params.yaml is not in ")
