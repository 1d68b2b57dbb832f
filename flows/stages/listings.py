"""Listings of folders that DVC has: which files with which digests. They come from DVC's remote.

DVC writes wherever a listing says. So listings are fetched first and checked, alone. Those that are good go
to the cache, from where DVC takes them.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.repo import Repo

from flows.stages.graph import find_stage
from flows.workspace.dvc_repo import open_repo
from flows.workspace.lock_files import DIGEST
from flows.workspace.programs import OnLine, Programs
from flows.workspace.safe_names import check_names
from pipeline import artifacts
from pipeline.errors import RefrainError, TransientError, first_line

MAX_BYTES = 256 << 20
"""A listing of more than a million files."""


def check_listings(folder: Path, targets: Iterable[str] = ()) -> None:
    """Check the listings of all folders among the outputs of ``targets`` (none: of all stages).

    Raises :class:`RefrainError` for one that could write elsewhere, and :class:`TransientError` if DVC's
    remote cannot be reached. Listings that are missing are left to DVC.
    """
    with open_repo(folder, locked=True) as repo:  # stages of one run finish side by side
        nodes = [find_stage(repo, name) for name in targets] or list(repo.index.stages)
        for out in (out for node in nodes for out in node.outs):
            # A remote that keeps versions has no listings: the files are in dvc.lock, and are checked there.
            if out.use_cache and not out.files and out.hash_info and out.hash_info.isdir:
                check_listing_of(repo, out, out.hash_info.value)


def check_listing_of(repo: Repo, out: Output, digest: str) -> None:
    """Check one listing, and see that the cache has it. Raises as :func:`check_listings` does."""
    cached = Path(out.cache.oid_to_path(digest))
    is_cached = cached.is_file() and _digest_of(cached.read_bytes()) == digest
    content = cached.read_bytes() if is_cached else _fetch(repo, out, digest)
    if content is None:
        return
    check_listing(content, digest, out.def_path)
    if not is_cached:
        artifacts.write_bytes(cached, content)


def pull(programs: Programs, *targets: str, on_line: OnLine) -> None:
    """Bring the data of ``targets`` here by ``dvc pull``, after :func:`check_listings`."""
    check_listings(programs.folder, targets)
    programs.dvc("pull", "--force", *targets, on_line=on_line)


def check_listing(content: bytes, digest: str, where: str) -> None:
    """Raise :class:`RefrainError` unless ``content`` has that digest and lists files in its folder."""
    if len(content) > MAX_BYTES or _digest_of(content) != digest:
        raise RefrainError(
            f"{where}: the listing on DVC's remote is not that of its digest: `dvc push` it again"
        )
    try:
        files = json.loads(content)
    except (ValueError, RecursionError):
        files = None
    if not isinstance(files, list) or not all(map(_is_entry, files)):
        raise RefrainError(f"{where}: the listing on DVC's remote is no list of files: check who wrote it")
    check_names([file["relpath"] for file in files], where)


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict) or entry.keys() != {"md5", "relpath"}:
        return False
    digest = entry["md5"]
    return isinstance(digest, str) and bool(DIGEST.fullmatch(digest)) and not digest.endswith(".dir")


def _fetch(repo: Repo, out: Output, digest: str) -> bytes | None:
    """A listing as the remote has it, as far as it may be long; None if there is none."""
    if not (out.remote or repo.config["core"].get("remote")):
        return None
    try:
        remote = repo.cloud.get_remote_odb(out.remote, "pull", hash_name=out.hash_info.name)
        with remote.fs.open(remote.oid_to_path(digest), "rb") as file:
            content: bytes = file.read(MAX_BYTES + 1)
            return content
    except FileNotFoundError:
        return None
    except DvcException:
        raise
    except Exception as error:  # each kind of remote has errors of its own
        raise TransientError(f"DVC's remote: {type(error).__name__}: {first_line(error)}") from None


def _digest_of(content: bytes) -> str:
    return f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.dir"
