"""Texts for a worktree, which holds only what git and DVC have."""

import os
import shutil
from pathlib import Path

from flows.workspace.git import run_git, succeeds
from flows.workspace.programs import OnLine, Programs
from pipeline.text.catalog import CATALOG_FILE, RAW, load_catalog


def copy_ignored_texts(tree: Path, main: Path, corpus: str) -> None:
    """Link or copy the files of ``corpus`` that git ignores and that the worktree ``tree`` lacks.

    ``main`` is the checkout that the worktree belongs to. A text that git does not ignore is never copied: a
    run that commits its worktree would commit it.
    """
    if "://" in corpus or Path(corpus).is_absolute():
        return
    ignored = run_git(main, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", corpus)
    for name in filter(None, ignored.split("\0")):
        source, target = main / name, tree / name
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():  # a symbolic link to a folder
            shutil.copytree(source, target, copy_function=_link)
        else:
            _link(source, target)


def refresh_catalog_texts(tree: Path, corpus: str, programs: Programs, on_line: OnLine) -> None:
    """Fetch texts of the catalogue to the worktree, unless git tracks them.

    If ``corpus`` is one text, it is fetched if it is missing or has no checksum. If it is a folder, only
    those of its present texts that have no checksum are fetched.
    """
    if not (tree / CATALOG_FILE).exists():
        return
    for name, entry in load_catalog(tree / CATALOG_FILE).items():
        text = RAW / entry.file
        is_there = (tree / text).exists()
        is_used = text == Path(corpus) or (text.is_relative_to(corpus) and is_there)
        is_due = entry.sha256 is None or not is_there
        if is_used and is_due and not succeeds(tree, "ls-files", "--error-unmatch", "--", str(text)):
            programs.refrain("fetch", name, on_line=on_line)


def _link(source: str | Path, target: str | Path) -> None:
    """Link a file, or copy it where the file system has no links."""
    try:
        # Resolved: a relative symbolic link would lead elsewhere from the worktree.
        os.link(Path(source).resolve(), target)
    except OSError:
        shutil.copy(source, target)
