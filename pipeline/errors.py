"""The language of failure: what users can mend, and what another try may help.

Programs turn these into exit statuses in :mod:`pipeline.program`; flows turn them into states of Prefect.
"""

import os

EXIT_STATUS = 1
TRANSIENT_EXIT_STATUS = os.EX_TEMPFAIL


class RefrainError(Exception):
    """Something the user can mend. Its message is one line: what is wrong, where, what to do."""

    exit_status = EXIT_STATUS


class TransientError(RefrainError):
    """Another try may help: a lost connection, a server that is down, a process that was killed."""

    exit_status = TRANSIENT_EXIT_STATUS


def first_line(error: BaseException) -> str:
    """An exception's message, cut to one line; its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def is_for_user(error: BaseException) -> bool:
    """Whether a line is enough: ours, the system's (full disk, no permission), too little memory."""
    return isinstance(error, RefrainError | OSError | MemoryError) or (
        # as PyTorch says it
        isinstance(error, RuntimeError) and ("out of memory" in str(error) or "allocate memory" in str(error))
    )
