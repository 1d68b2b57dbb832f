"""Errors that users can fix, and transient errors, where another try may help.

:mod:`pipeline.program` turns them into exit statuses; flows turn them into Prefect states.
"""

import os

EXIT_STATUS = 1
TRANSIENT_EXIT_STATUS = os.EX_TEMPFAIL


class RefrainError(Exception):
    """An error that the user can fix. Its message is one line: what is wrong, where, what to do."""

    exit_status = EXIT_STATUS


class TransientError(RefrainError):
    """An error where another try may help: a lost connection, a server that is down, a killed process."""

    exit_status = TRANSIENT_EXIT_STATUS


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type if the message is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def is_for_user(error: BaseException) -> bool:
    """Whether one line is enough: for our own errors, system errors (a full disk), and lack of memory."""
    return isinstance(error, RefrainError | OSError | MemoryError) or (
        # PyTorch's words for a lack of memory
        isinstance(error, RuntimeError) and ("out of memory" in str(error) or "allocate memory" in str(error))
    )
