"""The real thing in folders with Chinese characters, quotes, dollar signs and spaces, in any locale."""

import shutil
import sys
from pathlib import Path

import pytest

from flows.workspace.dvc_repo import open_repo
from tests.support.prefect import Api, run_flow
from tests.support.project import ROOT, Project

ODD = '\u9879\u76ee it\'s "a" $HOME `x`'


@pytest.fixture
def odd(finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A finished project in a folder of such a name, in the locale C."""
    monkeypatch.setenv("LC_ALL", "C")
    folder = tmp_path / ODD / "\u5206"
    folder.mkdir(parents=True)
    return Project(folder, copy_of=finished)


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_settings_take_such_a_path(odd: Project, locale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    cache = odd.folder / "cache"
    odd.run("dvc", "cache", "dir", "--local", str(cache))
    with open_repo(odd.folder) as repo, repo.config.edit("local") as settings:
        settings["core"]["autostage"] = True
    with open_repo(odd.folder) as repo:
        assert Path(repo.cache.local_cache_dir).is_relative_to(cache)


@pytest.mark.slow
def test_an_experiment_runs_there(odd: Project) -> None:
    result = odd.run("dvc", "exp", "run", "--temp", "--set-param", "seed=2", "build_vocab")
    assert "Ran experiment(s): " in result.stdout


@pytest.mark.slow
def test_make_runs_there(odd: Project) -> None:
    shutil.copy(ROOT / "Makefile", odd.folder)
    (odd.folder / ".venv").symlink_to(sys.prefix)
    result = odd.run("make", "--old-file=.venv/installed", "repro")
    assert "Data and pipelines are up to date." in result.stdout
    assert "perplexity" in result.stdout


@pytest.mark.server
def test_flows_run_there(odd: Project, api: Api) -> None:
    odd.edit("  length: 20", "  length: 21")
    odd.commit("longer samples")
    for arguments in (("reproduce", "-S", "generate.length=22"), ("retrain",)):
        result = run_flow(odd, *arguments)
        assert result.returncode == 0, result.stderr
    assert {run["state"]["type"] for run in api.flow_runs()[:2]} == {"COMPLETED"}
    assert "Retrain: perplexity" in odd.run("git", "log", "-1", "--format=%s").stdout
