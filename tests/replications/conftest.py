from pathlib import Path

import pytest

from pipeline.params.recipes import RECIPES
from tests.support.project import ROOT
from tests.support.replications import write_text


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recipes and a text, to run in."""
    (tmp_path / "replications").mkdir()
    (tmp_path / RECIPES).symlink_to(ROOT / RECIPES)
    write_text(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
