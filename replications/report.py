"""Stage report: published beside measured figures, the exercises' answers, and one page with everything."""

from pipeline.artifacts import write_text
from pipeline.program import run_program
from replications.pages.render import TEMPLATES, Pages
from replications.results import FOLDER

README = "README.md.j2"
EXERCISES = FOLDER / "exercises"
PLOTS = FOLDER / "plots"
PAGE = FOLDER / "page/index.html"
"""Holds whole samples, of lyrics too, so git ignores it."""


def main() -> None:
    """Write ``README.md``, ``exercises/``, ``plots/`` and ``page/index.html`` under ``replications/``."""
    pages = Pages()
    write_text(FOLDER / "README.md", pages.markdown(README, "plots", full=False))
    exercises = sorted(path.name for path in TEMPLATES.glob("[0-9]*.md.j2"))
    for template in exercises:
        text = pages.markdown(template, "../plots", full=False)
        write_text(EXERCISES / template.removesuffix(".j2"), text)
    texts = [pages.markdown(template, "plots", full=True) for template in (README, *exercises)]
    for name, svg in pages.plots.items():
        write_text(PLOTS / f"{name}.svg", svg)
    write_text(PAGE, pages.html(texts))


if __name__ == "__main__":
    run_program(main)
