"""Stage report: everything on one page, and the learning curves as a picture of their own."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from pipeline import artifacts
from pipeline.params import SPLITS, Params, load_params
from pipeline.program import run

# What takes long to import (torch, altair) is imported where it is used: --help should not wait for it.
if TYPE_CHECKING:
    from pipeline.text.vocab import VocabFile

RUNTIME = {"device", "threads", "checkpoint_seconds", "encode", "gate"}
"""Parameters that no result depends on, and so no result may show."""

FREQUENT = 20

VISIBLE = {" ": "␣", "\n": "↵", "\r": "←", "\t": "⇥", "\u3000": "␣␣"}


def main() -> None:
    """Write ``reports/index.html`` and ``reports/curves.svg``."""
    params = load_params()

    from pipeline.reporting.charts import learning_curves, read_curves
    from pipeline.reporting.page import Page, render, samples_side_by_side
    from pipeline.reporting.tables import perplexity_rows, read_lines, read_metrics, splits_of
    from pipeline.text.vocab import read_vocab

    models = list(params.models)
    stored = read_vocab(artifacts.VOCAB)
    metrics = read_metrics(artifacts.METRICS)
    svg = learning_curves(read_curves(artifacts.TRAIN_REPORTS, models), models)
    first_char = 0 if stored.vocab.unk_id is None else 1
    frequent = list(zip(stored.vocab.chars, stored.vocab.counts, strict=True))[first_char:][:FREQUENT]
    page = Page(
        rows=perplexity_rows(metrics),
        splits=splits_of(metrics),
        models=models,
        curves_svg=svg,
        samples=samples_side_by_side(read_lines(artifacts.SAMPLES)),
        text_facts=text_facts(params, stored),
        frequent=[(VISIBLE.get(char, char), f"{count:,}") for char, count in frequent],
        provenance=provenance(params),
        params_yaml=as_yaml(params),
    )
    artifacts.write_text(artifacts.CURVES, svg)
    artifacts.write_text(artifacts.INDEX, render(page))


def text_facts(params: Params, stored: VocabFile) -> dict[str, str]:
    """Corpus and vocabulary in figures."""
    from pipeline.text.encoded import EncodedText

    corpus, vocab = params.corpus, stored.vocab
    once = sum(count == 1 for char, count in zip(vocab.chars, vocab.counts, strict=True))
    facts = {
        "text": corpus.path + (f", {corpus.files}" if corpus.files else ""),
        "sha256": stored.corpus_sha256,
        "normalised": corpus.normalize,
        "vocabulary": f"{len(vocab):,} characters, {once:,} of them seen once in training"
        + (", <unk> among them" if vocab.unk_id is not None else ""),
    }
    for split in SPLITS:
        text = EncodedText(artifacts.ENCODED, split, stored)
        facts[split] = f"{len(text):,} characters"
        if vocab.unk_id is not None and (unknown := sum((b == vocab.unk_id).sum() for b in text.blocks())):
            facts[split] += f", {unknown / len(text):.2%} of them <unk>"
    return facts


def provenance(params: Params) -> dict[str, str]:
    """Code, seed, devices, versions."""
    from pipeline.nn.language_model import describe_model
    from pipeline.reporting.provenance import code_commit, versions

    devices = {name: describe_model(artifacts.model_path(name))["device"] for name in params.models}
    return {
        "code": code_commit(),
        "seed": str(params.seed),
        "device": ", ".join(f"{name}: {device}" for name, device in devices.items()),
        **versions(),
    }


def as_yaml(params: Params) -> str:
    """The parameters that results depend on, with all defaults filled in."""
    from ruamel.yaml import YAML

    stream = StringIO()
    YAML(typ="safe").dump(params.model_dump(exclude=RUNTIME), stream)
    return stream.getvalue()


if __name__ == "__main__":
    run(main)
