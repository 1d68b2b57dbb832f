"""What ``refrain diff`` says about two revisions, as data."""

import json
from pathlib import Path

from pydantic import TypeAdapter

from flows.workspace.programs import Programs
from pipeline.evaluation.difference import Difference

DIFFERENCES = TypeAdapter(list[Difference])


def compare(
    folder: Path, before: str, after: str | None = None, page: Path | None = None
) -> list[Difference]:
    """The models of the revision ``after`` (None: those in ``folder``) compared with those of ``before``.

    With ``page``, writes the comparison there as a web page, too.
    """
    revisions = [before] if after is None else [before, after]
    options = [] if page is None else ["--html", str(page)]
    *_, last = Programs(folder).refrain("diff", *revisions, "--json", *options, on_line=lambda _: None)
    return DIFFERENCES.validate_python(json.loads(last)["differences"])
