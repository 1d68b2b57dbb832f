"""Stage baselines: what models are measured against: counts of characters, and the held-out text itself."""

from typing import Any

from pipeline import artifacts
from pipeline.params.corpus import HELD_OUT, SPLITS
from pipeline.params.load import load_params
from pipeline.program import run_stage


def main() -> None:
    """Write ``reports/baselines.json``.

    Splits of fewer than two characters have no perplexity. The held-out text has figures of how much of it is
    recited, if it is as long as a sample.
    """
    length = load_params().generate.length

    # Imported here: parameter errors should not wait for pyarrow.
    from pipeline.data.encoded import EncodedText
    from pipeline.evaluation.baselines import Baselines
    from pipeline.evaluation.recitation import HELD_OUT_TEXT
    from pipeline.evaluation.score import metrics_of
    from pipeline.evaluation.yardstick import held_out_recitation
    from pipeline.text.vocab import read_vocab

    stored = read_vocab(artifacts.VOCAB)
    texts = {split: EncodedText(artifacts.ENCODED, split, stored) for split in SPLITS}
    baselines = Baselines(texts["train"], texts["valid"], len(stored.vocab))
    figures: dict[str, dict[str, dict[str, Any]]] = {}
    for split, text in texts.items():
        if len(text) < 2:
            continue
        if split in HELD_OUT:
            by_name = {name: metrics_of(nats) for name, nats in baselines.nats(text)}
        else:
            by_name = {name: score.metrics() for name, score in baselines.scores(text).items()}
        for name, metrics in by_name.items():
            figures.setdefault(name, {})[split] = metrics
        figures["ngram"][split]["order"] = baselines.order
    held_out = [texts[split] for split in HELD_OUT]
    recited = held_out_recitation(texts["train"], held_out, length, stored.vocab)
    if recited:
        figures[HELD_OUT_TEXT] = {"recited": recited}
    artifacts.write_json(artifacts.BASELINES, figures)


if __name__ == "__main__":
    run_stage(main)
