"""Stage build_vocab: count the training split's characters."""

import logging
from collections.abc import Iterator

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.params import Params, load_params
from pipeline.stages import run
from pipeline.text.corpus import Corpus, split_bounds
from pipeline.text.vocab import Vocab, build_vocab, count_chars, write_vocab

log = logging.getLogger(__name__)


def main() -> None:
    """Write ``data/vocab.parquet``."""
    params = load_params()
    corpus = Corpus(params.corpus)
    summary = corpus.summarize()
    bounds = split_bounds(summary.characters, params.corpus.split)
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


def check_prefixes(params: Params, vocab: Vocab) -> None:
    """Find now, not after the training, that a prefix cannot be encoded."""
    for prefix in params.generate.prefixes:
        try:
            vocab.encode_prefix(prefix, params.generate.allow_unk)
        except RefrainError as error:
            raise RefrainError(f"params.yaml: generate.prefixes: {error}") from None
    for name in params.models:
        for prefix in params.train_params(name).sample.prefixes:
            try:
                vocab.encode_prefix(prefix, allow_unk=True)
            except RefrainError as error:
                raise RefrainError(f"params.yaml: train.sample.prefixes: {error}") from None


if __name__ == "__main__":
    run(main)
