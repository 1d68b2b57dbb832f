"""Stage build_vocab: count the training split's characters."""

import logging
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.params.corpus import CorpusParams
from pipeline.params.load import load_params
from pipeline.program import run_stage
from pipeline.text.chunks import ChunkedText, joined
from pipeline.text.corpus import Corpus, PieceCount, read_piece
from pipeline.text.reading import Piece
from pipeline.text.splits import Splits
from pipeline.text.vocab import (
    CODE_POINTS,
    Placement,
    check_prefixes,
    count_chars,
    vocab_from_counts,
    write_vocab,
)
from pipeline.text.workers import ParallelMap, parallel_map

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
        splits = corpus.splits(placements, counts)
        lengths, characters = splits.lengths(), placements[-1].stop
        if not lengths["train"]:
            raise RefrainError(
                f"the training split of a text of {characters} character(s) is empty: use more text, or "
                "raise corpus.split.train"
            )
        occurrences = count_training(splits, params.corpus, pieces, placements, counts, over_pieces)
    vocab = vocab_from_counts(occurrences, unk=params.vocab.unk, min_count=params.vocab.min_count)
    if len(vocab) > params.runtime.max_vocab_size:
        raise RefrainError(
            f"the text has a vocabulary of {len(vocab):,} characters, more than runtime.max_vocab_size, "
            f"{params.runtime.max_vocab_size:,}: raise vocab.min_count to leave out rare ones, or raise the "
            "limit"
        )
    check_prefixes(params, vocab)
    write_vocab(artifacts.VOCAB, vocab, placements, splits)
    log.info("%s characters: %s; vocabulary of %s", f"{characters:,}", splits.described(), f"{len(vocab):,}")
    for name, share in params.corpus.split.shares.items():
        if splits.documents and not share / 2 <= lengths[name] / characters <= share * 2:
            log.warning(
                f"{name} has {lengths[name] / characters:.0%} of the text instead of {share:.0%}, because "
                "documents are not cut: set corpus.split.seed to another number, or corpus.split.by: position"
            )


def count_training(
    splits: Splits,
    corpus: CorpusParams,
    pieces: Sequence[Piece],
    placements: Sequence[Placement],
    counts: Sequence[PieceCount],
    over_pieces: ParallelMap,
) -> NDArray[np.int64]:
    """Occurrences by code point in the training split of a text whose pieces have been counted."""
    total = np.zeros(CODE_POINTS, np.int64)
    mixed = []
    for piece, place, count in zip(pieces, placements, counts, strict=True):
        runs = list(splits.runs(place.start, place.stop))
        is_whole = place.stop - place.start == len(place.separator) + count.characters
        if is_whole and {name for name, _ in runs} == {"train"}:
            total[count.code_points] += count.counts
            total += count_chars([place.separator])
        elif "train" in dict(runs):
            mixed.append((piece, place, runs))
    for found, times in over_pieces(partial(count_runs, corpus), mixed):
        total[found] += times
    return total


def count_runs(
    corpus: CorpusParams, item: tuple[Piece, Placement, list[tuple[str, int]]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Code points in the training split of one piece, and how often they occur."""
    piece, place, runs = item
    text = ChunkedText(read_piece(corpus, piece, place))
    training = (chunk for name, length in runs for chunk in text.take(length) if name == "train")
    counts = count_chars(joined(training))
    occurring = np.flatnonzero(counts)
    return occurring, counts[occurring]


if __name__ == "__main__":
    run_stage(main)
