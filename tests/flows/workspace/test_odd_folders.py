"""The real thing in folders with Chinese characters, quotes, dollar signs and spaces, in any locale."""

import shutil
import sys
from pathlib import Path

import pytest

from flows.workspace.dvc_repo import open_repo
from tests.support.prefect import Api, run_flow
from tests.support.project import ROOT, Project

ODD = '\u9879\u76ee it\'s "a" $HOME `x`'


@pytest.fixture(params=["C", "POSIX", "C.UTF-8"])
def odd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project in a folder of such a name, in that locale."""
    monkeypatch.setenv("LC_ALL", request.param)
    folder = tmp_path / ODD / "\u5206"
    folder.mkdir(parents=True)
    return Project(folder)


def test_settings_take_such_a_path(odd: Project) -> None:
    with open_repo(odd.folder) as repo, repo.config.edit("local") as settings:
        settings["cache"] = {"dir": str(odd.folder / "cache")}
    with open_repo(odd.folder) as repo:
        assert Path(repo.cache.local_cache_dir).is_relative_to(odd.folder / "cache")


@pytest.mark.slow
@pytest.mark.parametrize("odd", ["C"], indirect=True)
def test_an_experiment_runs_there(odd: Project) -> None:
    dvc = ("python", "-m", "flows.workspace.dvc_program")
    result = odd.run(*dvc, "exp", "run", "--temp", "--set-param", "seed=2", "build_vocab")
    assert "Ran experiment(s): " in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("odd", ["C"], indirect=True)
def test_make_runs_there(odd: Project) -> None:
    """As far as ``make repro`` checks, runs DVC, and shows: of a pipeline that is one stage."""
    shutil.copy(ROOT / "Makefile", odd.folder)
    (odd.folder / ".venv").symlink_to(sys.prefix)
    odd.run("make", "--old-file=.venv/installed", "repro")
    assert (odd.folder / "reports/index.html").exists()


@pytest.mark.server
@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("odd", ["C"], indirect=True)
def test_flows_run_there(odd: Project, api: Api) -> None:
    for arguments in (("reproduce", "-S", "seed=2"), ("retrain",)):
        result = run_flow(odd, *arguments)
        assert result.returncode == 0, result.stderr
    assert {run["state"]["type"] for run in api.flow_runs()[:2]} == {"COMPLETED"}
    assert "Retrain: perplexity" in odd.run("git", "log", "-1", "--format=%s").stdout
