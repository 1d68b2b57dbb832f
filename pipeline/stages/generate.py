"""Stage generate: one model continues every prefix, once per decoding; how much of that is recited."""

import json

from pipeline import artifacts
from pipeline.params.load import load_params
from pipeline.program import run_stage


def main(model: str) -> None:
    """Write ``reports/generate/{model}.jsonl``."""
    params = load_params()

    # Imported here: PyTorch takes a second to load, and --help and parameter errors should not wait for it.
    from pipeline.data.encoded import EncodedText
    from pipeline.evaluation.recitation import recitation
    from pipeline.generation.decoding import Decoding, generate
    from pipeline.nn.weights import open_model

    lm, stored = open_model(model, params)
    settings, vocab = params.generate, stored.vocab
    prefixes = [vocab.encode_prefix(prefix, settings.allow_unk) for prefix in settings.prefixes]
    rows, written = [], []
    for decoding in (decoding.model_dump() for decoding in settings.decoding):
        texts = generate(lm, prefixes, settings.length, Decoding(**decoding), params.seed, vocab.unk_id)
        for prefix, ids in zip(settings.prefixes, texts, strict=True):
            row = {"model": model, "prefix": prefix, "text": vocab.decode(ids), **decoding}
            rows.append({**row, "seed": params.seed})
            written.append(ids)
    found = recitation(EncodedText(artifacts.ENCODED, "train", stored), written)
    lines = [
        json.dumps({**row, "recited": one.figures()}, ensure_ascii=False) + "\n"
        for row, one in zip(rows, found, strict=True)
    ]
    artifacts.write_text(artifacts.samples_path(model), "".join(lines))


if __name__ == "__main__":
    run_stage(main, of_a_model=True)
