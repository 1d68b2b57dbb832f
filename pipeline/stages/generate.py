"""Stage generate: one model continues every prefix, once per decoding."""

import json

from pipeline import artifacts
from pipeline.params.load import load_params
from pipeline.program import run_stage


def main(model: str) -> None:
    """Write ``reports/generate/{model}.jsonl``."""
    params = load_params()

    # Imported here: PyTorch takes a second to load, and --help and parameter errors should not wait for it.
    from pipeline.generation.decoding import Decoding, generate
    from pipeline.nn.weights import open_model

    lm, stored = open_model(model, params)
    settings, vocab = params.generate, stored.vocab
    prefixes = [vocab.encode_prefix(prefix, settings.allow_unk) for prefix in settings.prefixes]
    rows = []
    for decoding in (decoding.model_dump() for decoding in settings.decoding):
        texts = generate(lm, prefixes, settings.length, Decoding(**decoding), params.seed, vocab.unk_id)
        for prefix, ids in zip(settings.prefixes, texts, strict=True):
            row = {"model": model, "prefix": prefix, "text": vocab.decode(ids), **decoding}
            rows.append(json.dumps({**row, "seed": params.seed}, ensure_ascii=False) + "\n")
    artifacts.write_text(artifacts.samples_path(model), "".join(rows))


if __name__ == "__main__":
    run_stage(main, of_a_model=True)
