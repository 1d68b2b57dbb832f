"""``corpus`` and ``vocab`` in ``params.yaml``: which text, how to read it, which characters to know."""

import math
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from pipeline.errors import shortened
from pipeline.params.section import Count, Fraction, NonEmpty, Section

SPLITS = ("train", "valid", "test")
HELD_OUT = ("valid", "test")

Normalization = Literal["none", "lyrics", "letters"]
"""Keys of :data:`pipeline.text.normalize.NORMALIZERS`."""


class SplitParams(Section):
    """Fractions of the text for training, validation and testing, which sum to 1, and what is held out."""

    train: Fraction
    valid: Fraction
    test: Fraction

    by: Literal["documents", "position"] = "documents"
    """``documents``: whole files, or songs between blank lines if the text is lyrics, drawn by ``seed``.

    ``position``: the end of the text. So is a text of a single document.
    """

    seed: int = 0
    """Which documents are held out. Models can be compared on the same held-out text only."""

    @property
    def shares(self) -> dict[str, float]:
        """The fractions by split."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = self.train + self.valid + self.test
        if not math.isclose(total, 1):
            raise ValueError(f"the three fractions sum to {total:g}, not 1")
        if not self.train:
            raise ValueError("the training split is empty: set train above 0")
        return self


class CorpusParams(Section):
    """Which text, and how it is read (see :mod:`pipeline.text.corpus`)."""

    path: NonEmpty
    """A file, a folder, a .zip or .gz, or a URL (https://, s3://). DVC tracks it as a whole."""

    files: NonEmpty | None = None
    """Pattern of the files to read from a folder or archive (``*.txt``); null: all."""

    normalize: Normalization = "none"
    """``lyrics``: line breaks become spaces; ``letters``: only lower-case letters and single spaces."""

    max_chars: Count | None = None
    """Keep only this many characters from the start; null: all."""

    split: SplitParams = SplitParams(train=0.8, valid=0.1, test=0.1)
    """Which documents, or which part of the text, are for training, validation and testing."""

    @model_validator(mode="after")
    def _path_is_no_pattern(self) -> Self:
        # DVC hashes this path to notice when the text changes, and DVC does not accept patterns.
        try:
            if "://" in self.path or Path(self.path).exists():
                return self
        except OSError as error:  # the name is too long
            raise ValueError(f"path: {error.strerror}: {shortened(self.path)}") from None
        if "*" in self.path:
            head, slash, _ = self.path.partition("*")[0].rpartition("/")
            folder = head or slash or "."
            files = self.path.removeprefix(head + slash)
            raise ValueError(
                f"path: {self.path!r} is a pattern, but DVC tracks whole files and folders: "
                f"set corpus.path to {folder!r} and corpus.files to {files!r}"
            )
        return self


class VocabParams(Section):
    """Which characters get their own ids."""

    unk: bool = True
    """Whether ``<unk>`` stands for characters that the training split lacks."""

    min_count: Count = 1
    """Characters that occur less often than this in the training split become ``<unk>``, too."""

    @model_validator(mode="after")
    def _rare_needs_unk(self) -> Self:
        if self.min_count > 1 and not self.unk:
            raise ValueError(f"min_count: {self.min_count} leaves characters out: set unk: true")
        return self
