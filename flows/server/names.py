"""Names that Prefect and git accept."""

import re


def slug(name: str) -> str:
    """A name as keys of artifacts, refs and lock files may be: small letters, digits, dashes."""
    # One for one: models a_b and a__b are two.
    return re.sub(r"[^a-z0-9]", "-", name.lower())
