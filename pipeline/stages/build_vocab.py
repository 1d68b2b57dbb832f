"""Stage build_vocab: count the training split's characters."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.params.corpus import CorpusParams
from pipeline.params.load import load_params
from pipeline.program import run_stage
from pipeline.text.corpus import (
    Corpus,
    PieceCount,
    read_piece,
    split_bounds,
    take_characters,
)
from pipeline.text.reading import Piece
from pipeline.text.vocab import (
    CODE_POINTS,
    Placement,
    check_prefixes,
    count_chars,
    vocab_from_counts,
    write_vocab,
)
from pipeline.text.workers import parallel_map

log = logging.getLogger(__name__)


def main() -> None:
    """Write ``data/vocab.parquet``."""
    params = load_params()
    corpus = Corpus(params.corpus, params.runtime.max_text_bytes)
    pieces = corpus.pieces()
    with parallel_map(params.runtime) as over_pieces:
        counts = corpus.count(pieces, over_pieces)
    pieces = pieces[: len(counts)]
    placements = corpus.placements(pieces, counts)
    characters = placements[-1].stop
    training = len(split_bounds(characters, params.corpus.split)["train"])
    if not training:
        raise RefrainError(
            f"the training split of a text of {characters} character(s) is empty: use more text, or raise "
            "corpus.split.train"
        )
    occurrences = count_training(training, params.corpus, pieces, placements, counts)
    vocab = vocab_from_counts(occurrences, unk=params.vocab.unk, min_count=params.vocab.min_count)
    if len(vocab) > params.runtime.max_vocab_size:
        raise RefrainError(
            f"the text has a vocabulary of {len(vocab):,} characters, more than runtime.max_vocab_size, "
            f"{params.runtime.max_vocab_size:,}: raise vocab.min_count to leave out rare ones, or raise the "
            "limit"
        )
    check_prefixes(params, vocab)
    write_vocab(artifacts.VOCAB, vocab, placements)
    log.info(f"{characters:,} characters, {training:,} of them for training; vocabulary of {len(vocab):,}")


def count_training(
    characters: int,
    corpus: CorpusParams,
    pieces: Sequence[Piece],
    placements: Sequence[Placement],
    counts: Sequence[PieceCount],
) -> NDArray[np.int64]:
    """Occurrences by code point in the first ``characters`` of a text whose pieces have been counted."""
    total = np.zeros(CODE_POINTS, np.int64)
    for piece, place, count in zip(pieces, placements, counts, strict=True):
        is_whole = place.stop - place.start == len(place.separator) + count.characters
        if place.stop <= characters and is_whole:
            total[count.code_points] += count.counts
            total += count_chars([place.separator])
        elif place.start < characters:
            total += count_chars(take_characters(characters - place.start, read_piece(corpus, piece, place)))
    return total


if __name__ == "__main__":
    run_stage(main)
