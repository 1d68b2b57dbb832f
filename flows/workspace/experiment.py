"""Parameters changed for one run, as a DVC experiment: checked before anything starts."""

import shutil
import tempfile
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.utils.hydra import apply_overrides

from flows.workspace.git import succeeds
from pipeline.errors import RefrainError, first_line
from pipeline.params.load import PARAMS_FILE, Params, load_params


def changed_params(path: Path, changes: list[str]) -> Params:
    """What a parameters file would be with ``changes``, given as ``dvc exp run -S`` takes them.

    Raises :class:`RefrainError` that names the first wrong one.
    """
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / path.name
        shutil.copy(path, copy)
        try:
            apply_overrides(str(copy), [change.removeprefix(f"{PARAMS_FILE}:") for change in changes])
        except DvcException as error:
            raise RefrainError(f"set_params: {first_line(error.__cause__ or error)}") from None
        try:
            return load_params(copy)
        except RefrainError as error:
            raise RefrainError(f"set_params: {str(error).removeprefix(f'{copy}: ')}") from None


def options_for_text(folder: Path, corpus: str) -> list[str]:
    """Options of ``dvc exp run`` that bring a text to the experiment if neither git nor DVC does."""
    is_inside = not Path(corpus).is_absolute() and (folder / corpus).exists()
    is_in_git = succeeds(folder, "ls-files", "--error-unmatch", "--", corpus)
    is_in_dvc = (folder / f"{corpus}.dvc").exists()
    return [f"--copy-paths={corpus}"] if is_inside and not is_in_git and not is_in_dvc else []
