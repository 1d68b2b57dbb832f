"""The comparison of two revisions as a page, which ``reports/index.html`` shows.

It depends on git history, so it is no artifact: neither DVC nor git tracks it.
"""

from collections.abc import Sequence

from pipeline.artifacts import REPORTS
from pipeline.evaluation.difference import Difference
from pipeline.reporting.differences import LEFT, columns
from pipeline.reporting.html import render_template

CHANGES = REPORTS / "changes.html"


def render_changes(found: Sequence[Difference], lines: Sequence[str], title: str, results: str | None) -> str:
    """The table of differences and the lines below it.

    ``results`` names the new results (:func:`pipeline.reporting.page.results_id`); None if they are not those
    of the workspace.
    """
    values = {"columns": columns(found), "words": LEFT, "rows": [difference.cells() for difference in found]}
    return render_template("changes/changes.html.j2", title=title, lines=lines, results=results, **values)
