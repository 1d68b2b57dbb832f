"""Texts for a worktree, which has only what git or DVC has."""

import os
import shutil
from pathlib import Path

from flows.git import succeeds
from flows.repro import Hear, run_program
from pipeline.text.catalog import CATALOG_FILE, RAW, load_catalog


def fetch_texts(tree: Path, main: Path, corpus: str, hear: Hear) -> None:
    """Bring the text ``corpus`` to the worktree ``tree`` of ``main``: of the catalogue, or ignored by git.

    Of the catalogue, what has a checksum is copied from ``main`` where that has it; of a folder of texts,
    those that ``main`` has are taken.
    """
    if (tree / CATALOG_FILE).exists():
        for name, entry in load_catalog(tree / CATALOG_FILE).items():
            text = RAW / entry.file
            in_use = text == Path(corpus) or (text.is_relative_to(corpus) and (main / text).exists())
            if in_use and not succeeds(tree, "ls-files", "--error-unmatch", str(text)):
                known = entry.sha256 and (main / text).exists() and "REFRAIN_CORPORA" not in os.environ
                command = ["-m", "pipeline.text.catalog", "fetch", name]
                run_program(command, tree, {"REFRAIN_CORPORA": str(main / RAW)} if known else {}, hear)
    ours, there = main / corpus, tree / corpus  # the same, where the path is absolute
    # Only what git ignores: a run that commits its worktree would commit any other text with it.
    if not there.exists() and ours.exists() and succeeds(main, "check-ignore", "--quiet", corpus):
        there.parent.mkdir(parents=True, exist_ok=True)
        if ours.is_dir():
            shutil.copytree(ours, there, copy_function=_link)
        else:
            _link(ours, there)


def _link(text: str | Path, there: str | Path) -> None:
    """The same file, or a copy where the file system has no links."""
    try:
        os.link(
            Path(text).resolve(), there
        )  # of a symbolic link, what it means: there it would lead elsewhere
    except OSError:
        shutil.copy(text, there)
