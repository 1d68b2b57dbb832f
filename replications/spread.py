"""How far apart seeds end in the published recipes: what the tolerances in ``published.csv`` rest on.

``python -m replications.spread`` adds two seeds to the one of ``make replicate``. It takes ten minutes on two
cores, and writes ``replications/spread.csv``.
"""

import csv
import io

from pipeline.artifacts import write_text
from pipeline.program import run_program
from replications.pages.published import SPREAD, read_published
from replications.results import read_result
from replications.run import train_recipe

SEEDS = (1, 2)
"""Besides 0, which the recipes have."""


def main() -> None:
    """Train each recipe with each seed and write the perplexities of the published epochs."""
    published = read_published()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("recipe", "epoch", "seed 0", *(f"seed {seed}" for seed in SEEDS)))
    for recipe in dict.fromkeys(row.recipe for row in published):
        others = [train_recipe(recipe, [f"seed={seed}"]).result for seed in SEEDS]
        results = [read_result(recipe), *others]
        for row in published:
            if row.recipe == recipe:
                reached = [result.perplexity_at(row.epoch) for result in results]
                figures = ["" if figure is None else f"{figure:.5g}" for figure in reached]
                writer.writerow((recipe, row.epoch, *figures))
    write_text(SPREAD, text.getvalue())


if __name__ == "__main__":
    run_program(main)
