"""Stage build_vocab: count the training split's characters."""

import logging
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.params import load_params
from pipeline.program import run
from pipeline.text.corpus import Corpus, Piece, PieceCount, count_piece, first, read_span, split_bounds
from pipeline.text.vocab import CODE_POINTS, Span, build_vocab, check_prefixes, count_chars, write_vocab
from pipeline.text.workers import workers

log = logging.getLogger(__name__)


def main() -> None:
    """Write ``data/vocab.parquet``."""
    params = load_params()
    corpus, normalize = Corpus(params.corpus), params.corpus.normalize
    pieces = corpus.pieces()
    with workers(params.encode) as over:
        counts = list(over(partial(count_piece, normalize), pieces))
    spans = corpus.place(pieces, counts)
    bounds = split_bounds(spans[-1].stop, params.corpus.split)
    if not bounds["train"]:
        raise RefrainError(
            f"the training split of {spans[-1].stop} character(s) is empty: use more text, or give "
            "corpus.split.train more"
        )
    times = count_first(len(bounds["train"]), normalize, pieces, spans, counts)
    vocab = build_vocab(times, unk=params.vocab.unk, min_count=params.vocab.min_count)
    check_prefixes(params, vocab)
    write_vocab(artifacts.VOCAB, vocab, spans)
    log.info(
        f"{spans[-1].stop:,} characters, {len(bounds['train']):,} of them for training; "
        f"vocabulary of {len(vocab):,}"
    )


def count_first(
    characters: int,
    normalize: str,
    pieces: Sequence[Piece],
    spans: Sequence[Span],
    counts: Sequence[PieceCount],
) -> NDArray[np.int64]:
    """Occurrences by code point among the first so many characters of a text whose pieces were counted."""
    times = np.zeros(CODE_POINTS, np.int64)
    for piece, span, count in zip(pieces, spans, counts, strict=True):
        if span.stop <= characters and span.stop - span.start == len(span.joint) + count.characters:
            times[count.code_points] += count.times
            times += count_chars([span.joint])
        elif span.start < characters:  # only a part of it is wanted
            times += count_chars(first(characters - span.start, read_span(normalize, piece, span)))
    return times


if __name__ == "__main__":
    run(main)
