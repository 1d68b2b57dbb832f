"""Stage encode_corpus: the whole text as character ids, split into train, valid and test."""

import hashlib
import logging

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.params import load_params
from pipeline.program import run
from pipeline.text.corpus import Corpus, split_bounds
from pipeline.text.encoding import encode_splits
from pipeline.text.vocab import read_vocab

log = logging.getLogger(__name__)


def main() -> None:
    """Write ``data/encoded/{train,valid,test}``."""
    params = load_params()
    stored = read_vocab(artifacts.VOCAB)
    bounds = split_bounds(stored.corpus_characters, params.corpus.split)
    digest = hashlib.sha256()
    with artifacts.atomic_folder(artifacts.ENCODED) as folder:
        rest = encode_splits(Corpus(params.corpus).read(digest), bounds, stored, folder)
        surplus = sum(map(len, rest))
        if surplus or digest.hexdigest() != stored.corpus_sha256:
            raise RefrainError(
                f"corpus.path {params.corpus.path} changed while the pipeline ran: run `dvc repro` again"
            )
    log.info("%s", ", ".join(f"{name}: {len(span):,} characters" for name, span in bounds.items()))


if __name__ == "__main__":
    run(main)
