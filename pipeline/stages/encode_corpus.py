"""Stage encode_corpus: the whole text as character ids, split into train, valid and test."""

import logging
from functools import partial

from pipeline import artifacts
from pipeline.data.encoding import encode_piece, plan_shards, write_empty_split
from pipeline.errors import RefrainError
from pipeline.params.load import load_params
from pipeline.program import run_stage
from pipeline.text.corpus import Corpus
from pipeline.text.vocab import read_vocab
from pipeline.text.workers import parallel_map

log = logging.getLogger(__name__)


def main() -> None:
    """Write ``data/encoded/{train,valid,test}``."""
    params = load_params()
    stored = read_vocab(artifacts.VOCAB)
    changed = RefrainError(
        f"corpus.path {params.corpus.path} changed while the pipeline ran: run `dvc repro` again"
    )
    pieces = Corpus(params.corpus, params.runtime.max_text_bytes).pieces()
    uncounted = len(pieces) - len(stored.placements)
    if uncounted < 0 or (uncounted and stored.corpus_characters != params.corpus.max_chars):
        raise changed
    pieces = pieces[: len(stored.placements)]
    lengths = stored.splits.lengths()
    with artifacts.atomic_folder(artifacts.ENCODED) as folder:
        for name, length in lengths.items():
            (folder / name).mkdir()
            if not length:
                write_empty_split(folder, name, stored)
        encode = partial(encode_piece, params.corpus, stored, folder.absolute())
        with parallel_map(params.runtime) as over_pieces:
            if not all(over_pieces(encode, plan_shards(pieces, stored))):
                raise changed
        for left in folder.rglob(".*.tmp"):  # left by a killed process
            left.unlink()
    log.info("%s", ", ".join(f"{name}: {length:,} characters" for name, length in lengths.items()))


if __name__ == "__main__":
    run_stage(main)
