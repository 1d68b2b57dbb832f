"""The user who runs this, as the system knows them."""

import getpass
from pathlib import Path

from pipeline.errors import RefrainError


def check_user() -> None:
    """Raise :class:`RefrainError` if the user has no home or no name, as in some containers.

    Without these, neither DVC nor Prefect starts.
    """
    try:
        Path.home()
    except RuntimeError:
        raise RefrainError("this user has no home: set HOME to a folder that they may write to") from None
    try:
        getpass.getuser()
    except (KeyError, OSError):
        raise RefrainError("this user has no name: set LOGNAME to any name") from None
