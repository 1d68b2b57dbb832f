"""DVC's Python side. Its exceptions become :class:`RefrainError` here."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo

from flows.workspace.dvc_program import allow_any_path
from flows.workspace.lock_files import check_digests_in_lock_files
from pipeline.errors import RefrainError, first_line

allow_any_path()
logging.getLogger("dvc").setLevel(logging.WARNING)  # its hints are for people who type its commands


@contextmanager
def open_repo(folder: Path, *, locked: bool = False) -> Iterator[Repo]:
    """The DVC repository in ``folder``. With ``locked``, no other DVC command changes it meanwhile.

    Waits while another DVC command holds the lock. Raises :class:`RefrainError` for what DVC finds wrong, and
    for what :func:`check_digests_in_lock_files` refuses.
    """
    try:
        with Repo(str(folder), _wait_for_lock=True) as repo, repo.lock if locked else nullcontext():
            # DVC reads them only after this, and writes them only under its lock.
            check_digests_in_lock_files(folder)
            yield repo
    except DvcException as error:
        raise RefrainError(first_line(error)) from None


def has_remote(folder: Path) -> bool:
    """Whether a default DVC remote is configured."""
    with open_repo(folder) as repo:
        return bool(repo.config["core"].get("remote"))
