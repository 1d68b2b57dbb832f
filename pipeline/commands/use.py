"""Write a recipe into params.yaml: its values, and defaults for everything else that determines results.

Comments are kept, and so are your sections `runtime` and `gate`. Without a name, list the recipes.
"""

import argparse
import io
import subprocess
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from pipeline.artifacts import write_text
from pipeline.errors import RefrainError
from pipeline.params.load import PARAMS_FILE, check_params
from pipeline.params.recipes import (
    RECIPES,
    RESULT_SECTIONS,
    flattened,
    load_recipe,
    read_overlay,
    recipe_names,
)
from pipeline.params.shown import shown_change
from pipeline.params.yaml import read_yaml
from pipeline.text.catalog import text_at
from pipeline.visible import visible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``refrain use``."""
    parser.add_argument("recipe", nargs="?", help=f"the name of a file in {RECIPES}, without .yaml")


def main(recipe: str | None) -> None:
    """Write a recipe and print what has changed, or list the recipes."""
    if not RECIPES.is_dir():
        raise RefrainError(f"{RECIPES} is missing: run from the project's folder")
    if recipe is None:
        for name in recipe_names():
            print(f"{name:<25} {description(name).splitlines()[0]}")
        return
    overlay = read_overlay(recipe)
    refuse_uncommitted_changes(PARAMS_FILE)
    before = read_yaml(PARAMS_FILE)
    if not isinstance(before, dict) or not isinstance(before.get("models", {}), dict):
        raise RefrainError(f"{PARAMS_FILE}: has no keys, or no names of models: restore it from git first")
    text = with_recipe(PARAMS_FILE.read_text(encoding="utf-8"), recipe, overlay)
    write_text(PARAMS_FILE, text)
    after = read_yaml(PARAMS_FILE)
    print(description(recipe))
    for line in changes(before, after):
        print(visible(line))
    path = after["corpus"]["path"]
    if "://" not in path and not Path(path).exists():
        catalogued = text_at(Path(path))
        print(f"next: run `refrain fetch {catalogued}`" if catalogued else f"next: put the text into {path}")


def description(recipe: str) -> str:
    """The comment at the top of a recipe."""
    lines = (RECIPES / f"{recipe}.yaml").read_text(encoding="utf-8").splitlines()
    return "\n".join(line.removeprefix("# ") for line in takewhile(lambda line: line.startswith("#"), lines))


def refuse_uncommitted_changes(path: Path) -> None:
    """Raise :class:`RefrainError` if git does not have the file as it is now."""
    command = ["git", "status", "--porcelain", "--", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RefrainError(
            f"git cannot tell whether {path} has uncommitted changes: {result.stderr.strip()}: "
            "run `git init` and commit it first"
        )
    if result.stdout.strip():
        raise RefrainError(
            f"{path} has uncommitted changes that would be lost: run `git commit -m recipe {path}` or "
            f"`git checkout {path}` first"
        )


def with_recipe(text: str, recipe: str, overlay: Mapping[str, Any]) -> str:
    """The text of a parameters file after writing a recipe into it. Comments are kept.

    Raises :class:`RefrainError` if the recipe is wrong.
    """
    from ruamel.yaml import YAML

    complete = without_nulls(load_recipe(recipe).model_dump())
    round_trip = YAML(typ="rt")  # keeps comments and, like typ="safe", builds no objects that tags name
    round_trip.width, round_trip.preserve_quotes, round_trip.default_flow_style = 110, True, None
    round_trip.representer.add_representer(type(None), _write_null)
    document = round_trip.load(text)
    for section in RESULT_SECTIONS:
        write_value(document, section, overlay.get(section, {}), complete[section])
    stream = io.StringIO()
    round_trip.dump(document, stream)
    check_params(document)
    return stream.getvalue()


def _write_null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")  # the default is to write nothing


def write_value(document: Any, key: str, wanted: Any, complete: Any) -> None:
    """Make ``document[key]`` mean ``complete``. ``wanted`` are the values in it that the recipe sets.

    Keys that are in the document keep their place and their comment. Keys that are neither in the document
    nor set by the recipe are not written and so have their defaults.
    """
    shown = document.get(key)
    if not (isinstance(shown, dict) and isinstance(complete, Mapping)):
        if shown != complete:
            document[key] = wanted or complete
        return
    for name in [name for name in shown if name not in complete]:
        del shown[name]
    for name, value in complete.items():
        part = wanted.get(name) if isinstance(wanted, Mapping) else None
        if name in shown:
            write_value(shown, name, part, value)
        elif isinstance(wanted, Mapping) and name in wanted:
            shown[name] = part


def without_nulls(values: Any) -> Any:
    """The same values, without keys set to None in the mappings of lists: they need not be written."""
    if isinstance(values, Mapping):
        return {key: without_nulls(value) for key, value in values.items()}
    if isinstance(values, list):
        return [
            {key: value for key, value in entry.items() if value is not None}
            if isinstance(entry, Mapping)
            else entry
            for entry in values
        ]
    return values


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """A line for each key whose value differs, and for each model that is gone."""
    gone = {f"models.{name}" for name in before.get("models", {}).keys() - after.get("models", {}).keys()}
    yield from (f"{name}: removed" for name in sorted(gone))
    old, new = dict(flattened(before)), dict(flattened(after))
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key) and ".".join(key.split(".")[:2]) not in gone:
            yield shown_change(key, old, new)
