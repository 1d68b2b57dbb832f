"""Everything Prefect: drives DVC, and never imports torch."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from pipeline.errors import RefrainError
from pipeline.user import check_user

try:
    check_user()  # before any module loads Prefect, which could not say it in one line
except RefrainError as error:
    sys.exit(f"error: {error}")

# Prefect's client asks only this variable; the server's analytics are off in pyproject.toml.
os.environ.setdefault("DO_NOT_TRACK", "1")

if "DVC_SITE_CACHE_DIR" not in os.environ and Path(".dvc").is_dir():
    # DVC's own default is a folder that everybody may write to, and DVC unpickles what it finds there.
    private = Path(".dvc/tmp/site-cache").absolute()
    os.environ["DVC_SITE_CACHE_DIR"] = str(private)
    with suppress(OSError):  # DVC will say what is wrong with the folder
        private.mkdir(parents=True, exist_ok=True)
        private.chmod(0o700)
