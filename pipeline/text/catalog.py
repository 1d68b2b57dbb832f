"""The catalogue: texts that can be fetched by name, with their sources, checksums and licences.

If the folder ``$REFRAIN_CORPORA`` has the file, it is checked and copied instead of downloaded.
"""

import os
import shutil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from pipeline.artifacts import atomic_file, file_sha256
from pipeline.errors import RefrainError, TransientError, first_line

CATALOG_FILE = Path("data/catalog.yaml")
RAW = Path("data/raw")


class Entry(BaseModel):
    """One text. ``sha256: null`` accepts whatever the URL serves."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    url: str
    file: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    normalize: Literal["none", "lyrics", "letters"]
    licence: str


class Catalog(RootModel[dict[str, Entry]]):
    """All entries by name."""


def load_catalog(path: Path = CATALOG_FILE) -> dict[str, Entry]:
    """Read the catalogue. Raise :class:`RefrainError` if it is missing or wrong."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return Catalog.model_validate(YAML(typ="safe").load(path.read_text(encoding="utf-8"))).root
    except FileNotFoundError:
        raise RefrainError(f"{path} is not in {Path.cwd()}: run from the project's folder") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RefrainError(f"{path}: {where}: {first['msg']}") from None
    except YAMLError as error:
        raise RefrainError(f"{path}: not valid YAML: {error}".replace("\n", " ")) from None


def fetch_text(name: str, folder: Path = RAW) -> Path:
    """Download the text ``name`` to ``folder``, unless it is already there, and return its path.

    An existing file with another checksum is renamed to ``.{file}.old``. The new file appears complete and
    checked, or not at all. Raises :class:`RefrainError` for an unknown name, a failed download or a wrong
    checksum.
    """
    catalog = load_catalog()
    if name not in catalog:
        raise RefrainError(f"{CATALOG_FILE} has no text {name!r}: choose from {', '.join(catalog)}")
    entry = catalog[name]
    target = folder / entry.file
    if entry.sha256 and target.exists() and file_sha256(target) == entry.sha256:
        return target
    if entry.sha256 and target.exists():  # damaged, or the user's own: keep it in either case
        target.replace(target.with_name(f".{target.name}.old"))
    local = Path(os.environ.get("REFRAIN_CORPORA", "")) / entry.file
    if os.environ.get("REFRAIN_CORPORA") and local.exists():
        _check(local, entry.sha256)
        with atomic_file(target) as temporary:
            shutil.copyfile(local, temporary)
    else:
        _download(entry, target)
    return target


def _download(entry: Entry, target: Path) -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    # Without a checksum, pooch would accept any file that is already there.
    name = target.name if entry.sha256 else f".{target.name}.{os.getpid()}.tmp"
    try:
        pooch.retrieve(
            entry.url,
            known_hash=f"sha256:{entry.sha256}" if entry.sha256 else None,
            fname=name,
            path=target.parent,
            progressbar=True,
        )
        (target.parent / name).replace(target)
    except (requests.RequestException, OSError, ValueError) as error:
        raise TransientError(
            f"{entry.url}: download failed: {first_line(error)}: try again, or put the file "
            "into a folder and set REFRAIN_CORPORA to that folder"
        ) from None


def _check(path: Path, sha256: str | None) -> None:
    found = file_sha256(path)
    if sha256 and found != sha256:
        raise RefrainError(
            f"{path}: sha256 is {found}, but {CATALOG_FILE} expects {sha256}: get the file again"
        )
