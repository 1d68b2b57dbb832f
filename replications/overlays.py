"""Stage overlays: what each recipe sets, including what the recipes that it extends set.

A run depends on its recipe's entry, so that a comment in a recipe trains nothing again, and another recipe
does not either.
"""

from pipeline.artifacts import write_json
from pipeline.params.recipes import read_overlay, recipe_names
from pipeline.program import run_program
from replications.results import OVERLAYS


def main() -> None:
    """Write ``replications/overlays.json``."""
    write_json(OVERLAYS, {name: read_overlay(name) for name in recipe_names()})


if __name__ == "__main__":
    run_program(main)
