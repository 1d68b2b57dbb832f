"""Parameters changed for one run: checked before anything starts."""

import shutil
import tempfile
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.utils.hydra import apply_overrides

from flows.git import succeeds
from pipeline.errors import RefrainError, first_line
from pipeline.params.load import PARAMS_FILE, Params, load_params


def overridden(path: Path, overrides: list[str]) -> Params:
    """What a parameters file would be with ``overrides``, given as ``dvc exp run -S`` takes them.

    Raises :class:`RefrainError` naming the first that is wrong.
    """
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / path.name
        shutil.copy(path, copy)
        try:
            apply_overrides(str(copy), [override.removeprefix(f"{PARAMS_FILE}:") for override in overrides])
        except DvcException as error:
            raise RefrainError(f"set_params: {first_line(error.__cause__ or error)}") from None
        try:
            return load_params(copy)
        except RefrainError as error:
            raise RefrainError(f"set_params: {str(error).removeprefix(f'{copy}: ')}") from None


def text_not_in_git(folder: Path, path: str) -> list[str]:
    """Options of ``dvc exp run`` that bring a text which git ignores to the experiment's own folder."""
    inside = not Path(path).is_absolute() and (folder / path).exists()
    in_git = succeeds(folder, "ls-files", "--error-unmatch", path)
    return ["--copy-paths", path] if inside and not in_git else []
