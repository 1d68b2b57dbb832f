"""Stage baselines: perplexity of predictors that only count characters, on every split."""

from pipeline import artifacts
from pipeline.params.corpus import HELD_OUT, SPLITS
from pipeline.program import run_stage


def main() -> None:
    """Write ``reports/baselines.json``. Splits of fewer than two characters have no figures."""
    from pipeline.data.encoded import EncodedText
    from pipeline.evaluation.baselines import Baselines
    from pipeline.evaluation.score import metrics_of
    from pipeline.text.vocab import read_vocab

    stored = read_vocab(artifacts.VOCAB)
    texts = {split: EncodedText(artifacts.ENCODED, split, stored) for split in SPLITS}
    baselines = Baselines(texts["train"], texts["valid"], len(stored.vocab))
    figures: dict[str, dict[str, dict[str, float]]] = {}
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
    artifacts.write_json(artifacts.BASELINES, figures)


if __name__ == "__main__":
    run_stage(main)
