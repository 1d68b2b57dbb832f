"""Everything Prefect: drives DVC, and never imports torch."""

import os
import sys

from pipeline.dvc_files import use_private_cache
from pipeline.errors import RefrainError
from pipeline.user import check_user

try:
    check_user()  # before any module loads Prefect, which could not say it in one line
except RefrainError as error:
    sys.exit(f"error: {error}")

# Prefect's client asks only this variable; the server's analytics are off in pyproject.toml.
os.environ.setdefault("DO_NOT_TRACK", "1")
use_private_cache()
