"""Recipes, and what `refrain use` makes of params.yaml."""

from pathlib import Path

import pytest

from pipeline.commands.use import with_recipe
from pipeline.errors import RefrainError
from pipeline.params.load import load_params
from pipeline.params.recipes import RECIPES, load_recipe, read_overlay, recipe_names
from tests.support.project import ROOT, Project

NAMES = recipe_names(ROOT / RECIPES)


@pytest.fixture
def shipped(project: Project) -> Project:
    """A project with the params.yaml and the recipes that users get."""
    (project.folder / RECIPES).mkdir(parents=True)
    for path in [Path("params.yaml"), *(RECIPES / f"{name}.yaml" for name in NAMES)]:
        (project.folder / path).write_bytes((ROOT / path).read_bytes())
    project.commit("as shipped")
    return project


def results(path: Path) -> dict[str, object]:
    """What a parameters file says about results."""
    return load_params(path).model_dump(exclude={"report", "runtime", "gate"})


def test_a_recipe_means_the_same_whatever_was_used_before(shipped: Project) -> None:
    path = shipped.folder / "params.yaml"
    for name in [*NAMES, *reversed(NAMES)]:
        shipped.run("refrain", "use", name)
        expected = load_recipe(name, folder=ROOT / RECIPES).model_dump(exclude={"report", "runtime", "gate"})
        assert results(path) == expected, name
        shipped.run("git", "commit", "-q", "--allow-empty", "-am", name)


def test_the_default_recipe_is_the_file_that_users_get(shipped: Project) -> None:
    before = (shipped.folder / "params.yaml").read_text(encoding="utf-8")
    shipped.run("refrain", "use", "default")
    assert (shipped.folder / "params.yaml").read_text(encoding="utf-8") == before


def test_comments_and_the_users_own_sections_stay_and_changes_are_told(shipped: Project) -> None:
    shipped.edit("  device: auto ", "  device: cpu  ")
    shipped.commit("my device")
    said = shipped.run("refrain", "use", "tiny_shakespeare").stdout.splitlines()
    text = (shipped.folder / "params.yaml").read_text(encoding="utf-8")
    for kept in (
        "# largest global norm",
        "# which files of a folder",
        "  device: cpu  ",
        "# What determines",
    ):
        assert kept in text
    assert "corpus.path: data/raw/lyrics.txt -> data/raw/tinyshakespeare.txt" in said
    assert "train.epochs: 10 -> 5" in said
    assert "models.rnn: removed" in said
    assert said[-1] == "next: run `refrain fetch tiny_shakespeare`"


def test_uncommitted_changes_are_not_thrown_away(shipped: Project) -> None:
    shipped.edit("epochs: 10", "epochs: 11")
    before = (shipped.folder / "params.yaml").read_bytes()
    result = shipped.run("refrain", "use", "default", check=False)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: params.yaml has uncommitted changes that would be lost")
    assert (shipped.folder / "params.yaml").read_bytes() == before


def test_tags_in_params_yaml_build_no_objects(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    overlay = read_overlay("default", ROOT / RECIPES)
    tag = f"!!python/object/apply:os.mkdir [{tmp_path}/made]"
    written = with_recipe(text.replace("seed: 1", f"seed: {tag}"), "default", overlay)
    assert "seed: 1\n" in written
    assert not (tmp_path / "made").exists()


def test_recipes_are_listed_with_what_they_are(shipped: Project) -> None:
    lines = shipped.run("refrain", "use").stdout.splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    assert all(len(line.split()) > 3 for line in lines)
    result = shipped.run("refrain", "use", "tiny", check=False)
    assert "error: unknown recipe 'tiny': choose from by_heart, default, gru-scratch" in result.stderr


def test_a_recipe_holds_only_what_it_changes() -> None:
    for name in NAMES:
        assert len((ROOT / RECIPES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()) <= 25, name


def test_changes_of_a_recipe_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert load_recipe("rnn-torch", {"models.rnn.hidden_size": 64}).models["rnn"].hidden_size == 64
    with pytest.raises(RefrainError, match=r"models\.rnn\.hidden: unknown key"):
        load_recipe("rnn-torch", {"models.rnn.hidden": 64})
