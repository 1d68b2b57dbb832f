"""Stage report: collect all results in one page, one table, one file of samples, and model cards."""

import json

from pipeline import artifacts
from pipeline.params.corpus import SPLITS
from pipeline.params.load import Params, load_params
from pipeline.params.recipes import RESULT_SECTIONS
from pipeline.program import run_stage
from pipeline.text.vocab import VocabFile, read_vocab
from pipeline.visible import SPACES, visible

FREQUENT = 20
"""How many characters the page shows with their counts."""


def main() -> None:
    """Write the metrics, samples, learning curves, cards and the page (see docs/artifacts.md)."""
    params = load_params()
    models = list(params.models)
    # Done here because this is the last stage: no other runs beside it or depends on whole folders.
    artifacts.archive_removed_models(models)

    # Imported here: Altair takes a second to load, and --help and parameter errors should not wait for it.
    from pipeline.evaluation.recitation import HELD_OUT_TEXT
    from pipeline.reporting.cards import model_card
    from pipeline.reporting.charts import learning_curves, read_curves
    from pipeline.reporting.held_out import held_out_text
    from pipeline.reporting.page import (
        Page,
        render,
        results_id,
        samples_side_by_side,
    )
    from pipeline.reporting.page.embedded import embedded_models
    from pipeline.reporting.provenance import provenance_facts
    from pipeline.reporting.samples import about_recitation, samples_markdown
    from pipeline.reporting.tables import (
        collect_metrics,
        perplexities,
        perplexity_rows,
        read_lines,
        splits_of,
    )
    from pipeline.reporting.yaml import as_yaml

    stored, metrics = read_vocab(artifacts.VOCAB), collect_metrics(models)
    held_out = held_out_text(models, stored)
    samples = [row for name in models for row in read_lines(artifacts.samples_path(name))]
    of_held_out = metrics.get(HELD_OUT_TEXT, {}).get("recited")
    curves = learning_curves(read_curves(artifacts.TRAIN_REPORTS, models), models)
    artifacts.write_json(artifacts.METRICS, metrics)
    artifacts.write_json(artifacts.PERPLEXITY, perplexities(metrics, models))
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in samples)
    artifacts.write_text(artifacts.SAMPLES, "".join(lines))
    artifacts.write_text(artifacts.SAMPLES_MD, samples_markdown(samples, of_held_out))
    artifacts.write_text(artifacts.CURVES, curves)
    rows, about_text = perplexity_rows(metrics), text_facts(params, stored)
    provenance, embedded = (
        provenance_facts(params),
        embedded_models(params, stored.vocab, stored.sha256, held_out),
    )
    for name in models:
        card = model_card(name, params, embedded.language, metrics, rows, about_text, provenance)
        artifacts.write_text(artifacts.card_path(name), card)
    page = Page(
        rows=rows,
        splits=splits_of(metrics),
        models=models,
        curves_svg=curves,
        embedded=embedded,
        held_out=held_out,
        samples=samples_side_by_side(samples),
        about_recitation=about_recitation(of_held_out),
        text_facts=about_text,
        frequent=frequent_characters(stored),
        provenance=provenance,
        params_yaml=as_yaml(params.model_dump(include=set(RESULT_SECTIONS))),
        results=results_id(models),
    )
    artifacts.write_text(artifacts.INDEX, render(page))


def text_facts(params: Params, stored: VocabFile) -> dict[str, str]:
    """Facts about the corpus and the vocabulary, by name."""
    from pipeline.data.encoded import EncodedText

    corpus, vocab = params.corpus, stored.vocab
    once = sum(count == 1 for number, count in enumerate(vocab.counts) if number != vocab.unk_id)
    facts = {
        "text": corpus.path + (f", {corpus.files}" if corpus.files else ""),
        "sha256": stored.corpus_sha256,
        "normalised": corpus.normalize,
        "vocabulary": f"{len(vocab):,} characters"
        + (", <unk> included" if vocab.unk_id is not None else "")
        + (f"; {once:,} of them stand in the training text once" if once else ""),
    }
    for split in SPLITS:
        text = EncodedText(artifacts.ENCODED, split, stored)
        facts[split] = f"{len(text):,} characters"
        unknown = sum(int((ids == vocab.unk_id).sum()) for ids in text.chunks()) if vocab.unk_id == 0 else 0
        if unknown:
            facts[split] += f", {unknown / len(text):.2%} of them <unk>"
    return facts


def frequent_characters(stored: VocabFile) -> list[tuple[str, str]]:
    """The most frequent characters and their counts, with visible symbols for white space."""
    first = 0 if stored.vocab.unk_id is None else 1
    counted = list(zip(stored.vocab.chars, stored.vocab.counts, strict=True))[first:]
    return [(SPACES.get(char, visible(char)), f"{count:,}") for char, count in counted[:FREQUENT]]


if __name__ == "__main__":
    run_stage(main)
