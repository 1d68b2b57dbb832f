"""Corpora of a test's own."""

from typing import Any

from pipeline.params.corpus import CorpusParams
from pipeline.text.corpus import Corpus
from pipeline.text.vocab import Placement


def corpus_params(path: object, **changes: Any) -> CorpusParams:
    split = {"train": 0.8, "valid": 0.1, "test": 0.1}
    settings = {"files": None, "normalize": "none", "max_chars": None, "split": split} | changes
    return CorpusParams.model_validate({"path": str(path), **settings})


def read_text(path: object, **changes: Any) -> str:
    return "".join(Corpus(corpus_params(path, **changes)).read())


def placements_of(text: Corpus) -> list[Placement]:
    """Where the pieces of a corpus lie."""
    counts = text.count(text.pieces())
    return text.placements(text.pieces()[: len(counts)], counts)
