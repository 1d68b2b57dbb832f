"""Errors that users can fix, and transient errors, where another try may help.

:mod:`pipeline.program` turns them into exit statuses; flows turn them into Prefect states.
"""

import os

from pipeline.visible import visible

EXIT_STATUS = 1
TRANSIENT_EXIT_STATUS = os.EX_TEMPFAIL

MAX_MESSAGE = 2000
"""Characters of a message. Whatever names, values and texts are in it, it stays readable."""


class RefrainError(Exception):
    """An error that the user can fix. Its message is one line: what is wrong, where, what to do.

    It may quote names and texts of any origin: symbols stand for what would control a terminal.
    """

    exit_status = EXIT_STATUS

    def __str__(self) -> str:
        return shortened(super().__str__(), MAX_MESSAGE)


class TransientError(RefrainError):
    """An error where another try may help: a lost connection, a server that is down, a killed process."""

    exit_status = TRANSIENT_EXIT_STATUS


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type if the message is empty. Safe to print."""
    lines = str(error).strip().splitlines()
    return shortened(lines[0], MAX_MESSAGE) if lines else type(error).__name__


def shortened(text: str, length: int = 80) -> str:
    """``text`` on one line of about ``length`` characters, for a message: cut in the middle if it is longer.

    Symbols stand for what would control a terminal.
    """
    if len(text) > length:
        text = f"{text[: length // 2]}...{text[-length // 4 :]}"
    return visible(text)


def is_for_user(error: BaseException) -> bool:
    """Whether one line is enough: for our own errors, system errors (a full disk), and lack of memory."""
    return isinstance(error, RefrainError | OSError | MemoryError) or (
        # PyTorch's words for a lack of memory
        isinstance(error, RuntimeError) and ("out of memory" in str(error) or "allocate memory" in str(error))
    )
