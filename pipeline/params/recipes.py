"""Recipes: overlays with only those parameters that differ from the defaults.

A recipe is a file in ``replications/recipes``. Its keys override the keys of the recipe that it ``extends``,
if any. Everything else has its default.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import RefrainError
from pipeline.params.load import Params, check_params
from pipeline.params.yaml import read_yaml

RECIPES = Path("replications/recipes")

RESULT_SECTIONS = ("seed", "corpus", "vocab", "train", "models", "generate")
"""The sections that a recipe sets. ``runtime`` and ``gate`` belong to the user."""


def recipe_names(folder: Path = RECIPES) -> list[str]:
    """Names of all recipes."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read_overlay(name: str, folder: Path = RECIPES) -> dict[str, Any]:
    """The keys that a recipe and the recipes it extends set.

    Raises :class:`RefrainError` for an unknown name, and for recipes that extend each other.
    """
    names, values = [name], _read_recipe(name, folder)
    while extended := values.pop("extends", None):
        if extended in names:
            raise RefrainError(f"recipes extend each other: {' -> '.join([*names, extended])}")
        names.append(extended)
        base = _read_recipe(extended, folder)
        if "models" in values:  # a recipe trains only its own models
            base.pop("models", None)
        values = overlaid(base, values)
    return values


def _read_recipe(name: str, folder: Path) -> dict[str, Any]:
    """The keys in the file of a recipe."""
    if name not in recipe_names(folder):
        raise RefrainError(f"unknown recipe {name!r}: choose from {', '.join(recipe_names(folder))}")
    path = folder / f"{name}.yaml"
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise RefrainError(f"{path}: has no keys: see the other recipes")
    return values


def load_recipe(name: str, changes: Mapping[str, Any] | None = None, folder: Path = RECIPES) -> Params:
    """The parameters of a recipe, with some keys (``models.rnn.hidden_size``) changed.

    Raises :class:`RefrainError` if the recipe or a change is wrong.
    """
    values = read_overlay(name, folder)
    for key, value in (changes or {}).items():
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        values = overlaid(values, nested)
    sections: dict[str, Any] = {section: {} for section in ("vocab", "train", "generate")} | {"seed": 0}
    return check_params(overlaid(sections, values), folder / f"{name}.yaml")


def overlaid(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the keys of ``over``. Mappings in both are merged; everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        merged[key] = overlaid(base[key], value) if both else value
    return merged


def flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All values nested in a mapping, with dotted keys such as ``train.epochs``."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
