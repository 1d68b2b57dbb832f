"""Download a text of the catalogue to data/raw, check it, and track it with DVC.

Git ignores texts. DVC tracks them (``data/raw/NAME.dvc``), so that experiments, nightly runs and other
machines have them, too.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.dvc_files import use_private_cache
from pipeline.errors import RefrainError
from pipeline.params.load import PARAMS_FILE, load_params
from pipeline.params.recipes import load_recipe, recipe_names
from pipeline.params.runtime import MAX_TEXT_BYTES
from pipeline.text.catalog import fetch_text, load_catalog


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``refrain fetch``."""
    parser.add_argument("name", help="a name that `refrain texts` lists")


def main(name: str) -> None:
    """Fetch a text and print how to train on it."""
    most = load_params().runtime.max_text_bytes if PARAMS_FILE.exists() else MAX_TEXT_BYTES
    path = fetch_text(name, max_bytes=most)
    track(path)
    recipes = [recipe for recipe in recipe_names() if load_recipe(recipe).corpus.path == str(path)]
    set_by_recipe = f"run `refrain use {recipes[0]}`, or " if recipes else ""
    print(f"{path}: complete. To train on it, {set_by_recipe}set in params.yaml:")
    print(f"  corpus.path: {path}\n  corpus.normalize: {load_catalog()[name].normalize}")


def track(path: Path) -> None:
    """``dvc add`` a text and ``git add`` the file that DVC writes. Outside a DVC repository, do nothing."""
    if not Path(".dvc").is_dir() or shutil.which("git") is None:
        return
    use_private_cache()
    tracked = path.with_name(f"{path.name}.dvc")
    for command in ([sys.executable, "-m", "dvc", "add", "--quiet", str(path)], ["git", "add", str(tracked)]):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            reason = " ".join(result.stderr.split()) or f"status {result.returncode}"
            raise RefrainError(f"{path} is complete, but `{' '.join(command[-3:])}` failed: {reason}")
