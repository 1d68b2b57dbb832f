"""Stage baselines: perplexity of predictors that only count characters, on every split."""

from pipeline import artifacts
from pipeline.params.corpus import SPLITS
from pipeline.program import run_stage


def main() -> None:
    """Write ``reports/baselines.json``. Splits of fewer than two characters have no figures."""
    from pipeline.data.encoded import EncodedText
    from pipeline.evaluation.baselines import Baselines
    from pipeline.text.vocab import read_vocab

    stored = read_vocab(artifacts.VOCAB)
    texts = {split: EncodedText(artifacts.ENCODED, split, stored) for split in SPLITS}
    baselines = Baselines(texts["train"], texts["valid"], len(stored.vocab))
    by_split = {split: baselines.scores(text) for split, text in texts.items() if len(text) > 1}
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for split, scores in by_split.items():
        for name, score in scores.items():
            figures.setdefault(name, {})[split] = score.metrics()
        figures["ngram"][split]["order"] = baselines.order
    artifacts.write_json(artifacts.BASELINES, figures)


if __name__ == "__main__":
    run_stage(main)
