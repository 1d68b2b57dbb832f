"""Texts of the catalogue for a worktree, which has only what git or DVC has."""

import os
from collections.abc import Callable
from pathlib import Path

from flows.git import succeeds
from flows.repro import run_program
from pipeline.errors import RefrainError
from pipeline.text.catalog import CATALOG_FILE, RAW, load_catalog


def fetch_texts(tree: Path, main: Path, corpus: str, hear: Callable[[str], None]) -> None:
    """Fetch what of the catalogue the text ``corpus`` is made of to the worktree ``tree`` of ``main``.

    What has a checksum is copied from ``main`` where that has it; of a folder of texts, those that ``main``
    has are taken.
    """
    if not (tree / CATALOG_FILE).exists():
        return
    for name, entry in load_catalog(tree / CATALOG_FILE).items():
        text = RAW / entry.file
        in_use = text == Path(corpus) or (text.is_relative_to(corpus) and (main / text).exists())
        if in_use and not succeeds(tree, "ls-files", "--error-unmatch", str(text)):
            known = entry.sha256 and (main / text).exists() and "REFRAIN_CORPORA" not in os.environ
            command = ["-m", "pipeline.text.catalog", "fetch", name]
            error = run_program(command, tree, {"REFRAIN_CORPORA": str(main / RAW)} if known else {}, hear)
            if error:
                raise RefrainError(error)
