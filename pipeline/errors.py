"""The one exception that users see."""


class RefrainError(Exception):
    """Something the user can mend. Its message is one line: what is wrong, where, what to do."""


class MayPassError(RefrainError):
    """One that another try may mend, such as a lost connection. Programs end with status 75 (EX_TEMPFAIL)."""


def first_line(error: BaseException) -> str:
    """An exception's message, cut to one line; its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def can_be_mended(error: Exception) -> bool:
    """Whether a line is enough: ours; the system's (a full disk, no permission); too little memory."""
    return isinstance(error, RefrainError | OSError | MemoryError) or (
        # as PyTorch says it
        isinstance(error, RuntimeError) and ("out of memory" in str(error) or "allocate memory" in str(error))
    )
