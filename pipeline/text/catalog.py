"""The catalogue: texts that can be fetched by name, with their sources, checksums and licences.

If the folder ``$REFRAIN_CORPORA`` has the file, it is checked and copied instead of downloaded.
"""

import os
import shutil
from itertools import count
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from pipeline.artifacts import atomic_file, file_sha256
from pipeline.errors import RefrainError, TransientError, first_line
from pipeline.params.corpus import Normalization
from pipeline.params.runtime import MAX_TEXT_BYTES
from pipeline.params.yaml import read_yaml
from pipeline.text.download import download

CATALOG_FILE = Path("data/catalog.yaml")
RAW = Path("data/raw")


class Entry(BaseModel):
    """One text. ``sha256: null`` accepts whatever the URL serves."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    url: str
    file: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    normalize: Normalization
    licence: str


class Catalog(RootModel[dict[str, Entry]]):
    """All entries by name."""


def load_catalog(path: Path = CATALOG_FILE) -> dict[str, Entry]:
    """Read the catalogue. Raise :class:`RefrainError` if it is missing or wrong."""
    try:
        return Catalog.model_validate(read_yaml(path)).root
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RefrainError(f"{path}: {where}: {first['msg']}") from None


def text_at(path: Path) -> str | None:
    """The name of the text that :func:`fetch_text` would write to ``path``, if the catalogue has one."""
    texts = load_catalog() if CATALOG_FILE.exists() else {}
    return next((name for name, entry in texts.items() if RAW / entry.file == path), None)


def fetch_text(name: str, folder: Path = RAW, max_bytes: int = MAX_TEXT_BYTES) -> Path:
    """Download the text ``name`` to ``folder``, unless it is already there, and return its path.

    The new file appears complete and checked, or not at all. An existing file with another checksum is then
    kept as ``.{file}.old``. Raises :class:`RefrainError` for an unknown name or a wrong checksum,
    :class:`TransientError` for a failed download. A text of more than ``max_bytes`` is not downloaded.
    """
    catalog = load_catalog()
    if name not in catalog:
        raise RefrainError(f"{CATALOG_FILE} has no text {name!r}: choose from {', '.join(catalog)}")
    entry = catalog[name]
    target = folder / entry.file
    if entry.sha256 and target.exists() and file_sha256(target) == entry.sha256:
        return target
    local = Path(os.environ.get("REFRAIN_CORPORA", "")) / entry.file
    with atomic_file(target) as temporary:
        if os.environ.get("REFRAIN_CORPORA") and local.exists():
            shutil.copyfile(local, temporary)
            _check(temporary, entry.sha256, str(local))
        else:
            _download(entry.url, temporary, max_bytes)
            _check(temporary, entry.sha256, entry.url)
        if entry.sha256 and target.exists():  # damaged, or the user's own: keep it in either case
            target.replace(_unused_name(target))
    return target


def _download(url: str, target: Path, max_bytes: int) -> None:
    import requests  # only here: it takes a tenth of a second to load

    try:
        with target.open("wb") as file:
            download(url, file, max_bytes, target.parent)
    except (requests.RequestException, FileNotFoundError, ValueError) as error:
        raise TransientError(
            f"{url}: download failed: {first_line(error)}: try again, or put the file "
            "into a folder and set REFRAIN_CORPORA to that folder"
        ) from None


def _unused_name(path: Path) -> Path:
    """A name beside ``path`` for its old content."""
    names = (path.with_name(f".{path.name}.old{number or ''}") for number in count())
    return next(name for name in names if not name.exists())


def _check(path: Path, sha256: str | None, source: str) -> None:
    found = file_sha256(path)
    if sha256 and found != sha256:
        raise RefrainError(
            f"{source}: sha256 is {found}, but {CATALOG_FILE} expects {sha256}: get the file again, or "
            "correct the catalogue if the text has changed"
        )
