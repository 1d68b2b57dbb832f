"""Names that Prefect and git accept."""

import re


def slug(name: str) -> str:
    """A name that artifact keys, refs and lock files accept: only lower-case letters, digits and dashes."""
    # Each character is replaced on its own, so the models a_b and a__b keep different names.
    return re.sub(r"[^a-z0-9]", "-", name.lower())
