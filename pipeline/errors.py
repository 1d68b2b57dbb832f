"""The one exception that users see."""


class RefrainError(Exception):
    """Something the user can mend. Its message is one line: what is wrong, where, what to do."""
