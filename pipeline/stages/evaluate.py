"""Stage evaluate: perplexity of one model on every split."""

import logging

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.params.corpus import HELD_OUT, SPLITS
from pipeline.params.load import load_params
from pipeline.program import run_stage

log = logging.getLogger(__name__)


def main(model: str) -> None:
    """Write ``reports/evaluate/{model}.json`` and ``reports/losses/{model}/{split}.parquet``.

    Splits of fewer than two characters have no figures, and their losses are a table without rows.
    """
    params = load_params()

    # Imported here: PyTorch takes a second to load, and --help and parameter errors should not wait for it.
    from pipeline.data.encoded import EncodedText
    from pipeline.evaluation.float16 import perplexities_in_float16
    from pipeline.evaluation.losses import write_losses
    from pipeline.evaluation.perplexity import losses_of, score
    from pipeline.evaluation.score import metrics_of
    from pipeline.nn.weights import describe_model, open_model

    lm, stored = open_model(model, params)
    texts = {split: EncodedText(artifacts.ENCODED, split, stored) for split in SPLITS}
    path = artifacts.model_path(model)
    figures = {}
    try:
        for split in HELD_OUT:
            losses = losses_of(lm, texts[split], stored.vocab.unk_id)
            write_losses(artifacts.losses_path(model, split), losses)
            if len(losses.nats):
                figures[split] = metrics_of(losses.nats)
        if len(texts["train"]) > 1:
            figures = {"train": score(lm, texts["train"]).metrics(), **figures}
    except RefrainError as error:
        raise RefrainError(f"{path}: {error}") from None
    shown = ", ".join(f"{split} {figure['perplexity']:.4g}" for split, figure in figures.items())
    log.info("%s: %s", model, shown)
    trained = describe_model(path)
    artifacts.drop_recorded_checkpoint(model)
    artifacts.write_json(
        artifacts.evaluation_path(model),
        {
            "splits": figures,
            "float16": perplexities_in_float16(lm, {split: texts[split] for split in HELD_OUT}),
            "weights_sha256": trained["sha256"],
            "trained_on": trained["computed_by"],
        },
    )


if __name__ == "__main__":
    run_stage(main, of_a_model=True)
