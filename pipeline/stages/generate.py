"""Stage generate: every model continues every prefix, once for each decoding."""

import json

from pipeline import artifacts
from pipeline.params import load_params
from pipeline.program import run


def main() -> None:
    """Write ``reports/samples.jsonl`` and, for reading, ``reports/samples.md``."""
    params = load_params()

    # torch takes a second to import, and --help and wrong parameters should not.
    from pipeline.device import choose_device, set_up
    from pipeline.inference.sampling import Decoding, generate
    from pipeline.nn.language_model import load_model
    from pipeline.reporting.samples import samples_markdown
    from pipeline.text.vocab import read_vocab

    artifacts.set_aside(params.models)
    wanted = params.generate
    device = choose_device(params.device)
    stored = read_vocab(artifacts.VOCAB)
    prefixes = [stored.vocab.encode_prefix(text, wanted.allow_unk) for text in wanted.prefixes]
    rows = []
    for name in params.models:
        precision = params.train_params(name).precision
        set_up(device, params.threads, precision, params.models[name].hidden_size)
        model = load_model(artifacts.model_path(name), stored.sha256, device)
        for decoding in wanted.decoding:
            settings = decoding.model_dump()
            texts = generate(
                model, prefixes, wanted.length, Decoding(**settings), params.seed, stored.vocab.unk_id
            )
            for prefix, ids in zip(wanted.prefixes, texts, strict=True):
                text = stored.vocab.decode(ids)
                rows.append({"model": name, "prefix": prefix, "text": text, **settings, "seed": params.seed})
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    artifacts.write_text(artifacts.SAMPLES, "".join(lines))
    artifacts.write_text(artifacts.SAMPLES_MD, samples_markdown(rows))


if __name__ == "__main__":
    run(main)
