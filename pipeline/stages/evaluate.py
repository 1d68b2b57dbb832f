"""Stage evaluate: perplexity of every model on every split, beside the baselines."""

import logging

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.params import BASELINES, SPLITS, load_params
from pipeline.program import run

log = logging.getLogger(__name__)


def main() -> None:
    """Write ``reports/metrics.json``; splits of fewer than two characters have no figures."""
    params = load_params()

    # Only here: PyTorch takes a second to load, which --help and wrong parameters should not.
    from pipeline.device import choose_device, set_up
    from pipeline.inference.baselines import Baselines
    from pipeline.inference.perplexity import score
    from pipeline.nn.language_model import load_model
    from pipeline.text.encoded import EncodedText
    from pipeline.text.vocab import read_vocab

    artifacts.set_aside(params.models)
    device = choose_device(params.device)
    stored = read_vocab(artifacts.VOCAB)
    texts = {name: EncodedText(artifacts.ENCODED, name, stored) for name in SPLITS}
    scored = {name: text for name, text in texts.items() if len(text) > 1}
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for name in params.models:
        precision = params.train_params(name).precision
        set_up(device, params.threads, precision, params.models[name].hidden_size)
        model = load_model(artifacts.model_path(name), stored.sha256, device)
        try:
            metrics[name] = {split: score(model, text).metrics() for split, text in scored.items()}
        except RefrainError as error:
            raise RefrainError(f"{artifacts.model_path(name)}: {error}") from None
        log.info(
            "%s: %s", name, ", ".join(f"{split} {m['perplexity']:.4g}" for split, m in metrics[name].items())
        )
        artifacts.drop_closed_checkpoint(name)
    baselines = Baselines(texts["train"], len(stored.vocab))
    by_split = {split: baselines.scores(text) for split, text in scored.items()}
    for name in BASELINES:
        metrics[name] = {split: scores[name].metrics() for split, scores in by_split.items()}
    artifacts.write_json(artifacts.METRICS, metrics)


if __name__ == "__main__":
    run(main)
