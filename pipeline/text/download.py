"""Downloads that come to an end: their size is bounded, and a server must not fall silent."""

import os
from collections.abc import Generator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import fsspec
from tqdm import tqdm

from pipeline.errors import RefrainError

CHUNK_BYTES = 1 << 20

SILENCE_SECONDS = 30
"""How long a web server may send nothing."""


def download(url: str, target: IO[bytes], max_bytes: int, folder: Path) -> None:
    """Write what is at ``url`` to a file in ``folder``.

    Raises :class:`RefrainError` if it is larger than ``max_bytes``, or than half of the disk's free space.
    Raises the exceptions of ``requests``, or of the protocol's package, if it cannot be had.
    """
    disk = os.fstatvfs(target.fileno())
    room, received = disk.f_bavail * disk.f_frsize // 2, 0
    is_web = urlsplit(url).scheme.lower() in ("http", "https")
    with (
        closing(_web_chunks(url) if is_web else _chunks(url)) as chunks,
        tqdm(unit="B", unit_scale=True, leave=False, disable=None) as bar,
    ):
        for chunk in chunks:
            received += len(chunk)
            bar.update(len(chunk))
            if received > max_bytes:
                raise too_large(url, max_bytes)
            if received > room:
                raise RefrainError(
                    f"{url}: it takes more than half of the free space in {folder}: make room, or use a "
                    "smaller text (TMPDIR chooses another folder for temporary files)"
                )
            target.write(chunk)
    target.flush()


def too_large(name: str, max_bytes: int) -> RefrainError:
    """The error of a text that is larger than ``runtime.max_text_bytes``."""
    # What is behind a URL is downloaded as a whole.
    start = "" if "://" in name else "set corpus.max_chars to read only its start, "
    return RefrainError(
        f"{name}: the text is larger than runtime.max_text_bytes, {max_bytes:,} bytes: use a smaller text, "
        f"{start}or raise runtime.max_text_bytes"
    )


def _web_chunks(url: str) -> Generator[bytes, None, None]:
    import requests  # only here: it takes a tenth of a second to load

    as_it_is = {"Accept-Encoding": "identity"}
    with requests.get(url, stream=True, timeout=SILENCE_SECONDS, headers=as_it_is) as response:
        response.raise_for_status()
        yield from response.iter_content(CHUNK_BYTES)


def _chunks(url: str) -> Generator[bytes, None, None]:
    with fsspec.open(url, "rb") as stream:
        yield from iter(partial(stream.read, CHUNK_BYTES), b"")
