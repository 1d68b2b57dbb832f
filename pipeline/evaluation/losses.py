"""The losses of held-out text, character by character: what comparisons are made of."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.artifacts import atomic_file
from pipeline.errors import RefrainError


@dataclass(frozen=True)
class CharacterLosses:
    """The nats of each character of a held-out text except the first, and whether it was read as ``<unk>``.

    ``text_sha256`` identifies the text, before unknown characters became ``<unk>``.
    """

    nats: NDArray[np.float32]
    is_unk: NDArray[np.bool_]
    text_sha256: str


def write_losses(path: Path, losses: CharacterLosses) -> None:
    """Write columns ``nats`` (float32) and ``is_unk``, with the text's SHA-256 as metadata."""
    table = pa.table({"nats": pa.array(losses.nats), "is_unk": pa.array(losses.is_unk)})
    metadata = {"refrain": json.dumps({"text_sha256": losses.text_sha256})}
    with atomic_file(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, write_page_checksum=True)


def read_losses(file: Path | IO[bytes], name: str) -> CharacterLosses:
    """Read what :func:`write_losses` wrote. Raise :class:`RefrainError`, with ``name``, if it is damaged."""
    try:
        table = pq.read_table(file, page_checksum_verification=True)
        text_sha256 = json.loads(table.schema.metadata[b"refrain"])["text_sha256"]
        nats, is_unk = (table.column(column).to_numpy() for column in ("nats", "is_unk"))
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise RefrainError(f"{name} is damaged ({error}): run `dvc checkout`".replace("\n", " ")) from None
    return CharacterLosses(nats, is_unk, text_sha256)
