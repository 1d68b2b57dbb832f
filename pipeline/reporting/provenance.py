"""Where results come from: code, parameters, versions."""

import subprocess
import sys
from importlib.metadata import version

PACKAGES = ("torch", "numpy", "pyarrow", "pandas", "dvc")


def code_commit() -> str:
    """The last git commit that changed the code, and whether it has been changed since.

    Not the commit checked out: that one may hold these very results.
    """
    commit = _git("log", "-1", "--format=%H", "--", "pipeline")
    if not commit:
        return "not in git"
    changed = _git("status", "--porcelain", "--", "pipeline")
    return f"{commit} with changes not committed" if changed else commit


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    python = ".".join(map(str, sys.version_info[:3]))
    return {"python": python, **{name: version(name) for name in PACKAGES}}


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return result.stdout.strip()
