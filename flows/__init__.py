"""Everything Prefect: drives DVC, and never imports torch."""

import os

# Prefect's client asks only this variable; the server's analytics are off in pyproject.toml.
os.environ.setdefault("DO_NOT_TRACK", "1")
