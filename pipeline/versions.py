"""Versions of the packages that can change results: the installed ones have to be the pinned ones."""

import re
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from pipeline.errors import RefrainError

COMPUTING_PACKAGES = {
    "torch": "torch",
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "safetensors": "safetensors",
    "regex": "regex",  # decides which characters are letters
    "pandas": "pandas",
    "dvclive": "dvclive",  # writes the learning curves
    "altair": "altair",
    "vl_convert": "vl-convert-python",
    "jinja2": "jinja2",
}
"""Packages whose version can change a result: the name to import, and the name to install."""

CONSTRAINTS = Path("constraints.txt")

PIN = re.compile(r"^([\w.-]+)(?:\[.*?\])?==([\w.]+)(?: *; *([^\\\n]+))?", re.MULTILINE)
"""A line of the constraints: name, version, and the marker, which says where the line holds."""


@cache
def installed_version(package: str) -> str:
    """The version of an installed package, or ``none`` if it is not installed.

    The local label is dropped: ``2.13.0+cpu`` and ``2.13.0`` are the same version of PyTorch, built for
    different devices.
    """
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return "none"


def pinned_versions(constraints: Path) -> dict[str, str]:
    """The pinned version of each package, by its normalized name, on this Python and machine."""
    pins = PIN.findall(constraints.read_text(encoding="utf-8"))
    return {
        canonicalize_name(name): version
        for name, version, marker in pins
        if not marker or Marker(marker).evaluate()
    }


def check_versions(constraints: Path = CONSTRAINTS) -> None:
    """Raise :class:`RefrainError` if a computing package is not installed in its pinned version.

    DVC tracks the pins, not the installed packages, so it attributes all results to the pinned versions.
    """
    if not constraints.exists():
        return
    pinned = pinned_versions(constraints)
    for package in COMPUTING_PACKAGES.values():
        installed = installed_version(package)
        if package in pinned and installed != pinned[package]:
            raise RefrainError(
                f"{package} {installed} is installed, but {constraints} pins {pinned[package]}: run `make "
                "--always-make .venv/installed`, or pin the version you want as CONTRIBUTING.md describes"
            )
