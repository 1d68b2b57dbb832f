"""Stage build_vocab: count the training split's characters."""

import logging
from collections.abc import Iterator

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.params import load_params
from pipeline.program import run
from pipeline.text.corpus import Corpus, split_bounds
from pipeline.text.vocab import build_vocab, check_prefixes, count_chars, write_vocab

log = logging.getLogger(__name__)


def main() -> None:
    """Write ``data/vocab.parquet``."""
    params = load_params()
    corpus = Corpus(params.corpus)
    summary = corpus.summarize()
    bounds = split_bounds(summary.characters, params.corpus.split)
    if not bounds["train"]:
        raise RefrainError(
            f"the training split of {summary.characters} character(s) is empty: use more text, or give "
            "corpus.split.train more"
        )
    counts = count_chars(first(len(bounds["train"]), corpus.read()))
    vocab = build_vocab(counts, unk=params.vocab.unk, min_count=params.vocab.min_count)
    check_prefixes(params, vocab)
    write_vocab(artifacts.VOCAB, vocab, summary.sha256, summary.characters)
    log.info(
        f"{summary.characters:,} characters, {len(bounds['train']):,} of them for training; "
        f"vocabulary of {len(vocab):,}"
    )


def first(characters: int, chunks: Iterator[str]) -> Iterator[str]:
    """The first so many characters of a text in chunks."""
    for chunk in chunks:
        yield chunk[:characters]
        characters -= len(chunk)
        if characters <= 0:
            return


if __name__ == "__main__":
    run(main)
