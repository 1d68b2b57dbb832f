"""What differs between two revisions: each model's perplexity on the same held-out text, and the causes."""

import io
from pathlib import Path

import numpy as np

from pipeline import artifacts
from pipeline.evaluation.compare import compare
from pipeline.evaluation.difference import Difference
from pipeline.evaluation.losses import CharacterLosses, read_losses
from pipeline.evaluation.spread import seed_half_width, spreads_of_both
from pipeline.params.corpus import HELD_OUT
from pipeline.revisions import Revision, models_of


def differences(before: Revision, after: Revision) -> list[Difference]:
    """All models of either revision, on the held-out text of ``after``."""
    models = dict.fromkeys([*models_of(before), *models_of(after)])
    return [
        difference
        for split in HELD_OUT
        for model in models
        if (difference := compare_model(model, split, before, after))
    ]


def compare_model(model: str, split: str, before: Revision, after: Revision) -> Difference | None:
    """A model on a split; None if neither revision has them, or if ``after`` has no text in this split."""
    if model not in models_of(after):
        return Difference(model, split, "gone", note=f"{after.name} does not have it")
    path = artifacts.losses_path(model, split)
    old, new = losses_at(before, path), losses_at(after, path)
    if new is None:
        if old is None:
            return None
        note = f"{after.name} has no losses: run `dvc repro` or `dvc fetch`"
        return Difference(model, split, "missing", note=note)
    if not len(new.nats):
        return None
    if model not in models_of(before):
        return Difference(model, split, "new", note="a new model")
    notes = []
    if old is None or old.text_sha256 != new.text_sha256:
        # Imported here: PyTorch takes a second to load, and most comparisons do not need it.
        from pipeline.evaluation.rescore import NotComparableError, rescore

        cause = "no losses" if old is None else "other held-out text"
        try:
            old = rescore(model, split, before, after)
        except NotComparableError as error:
            reason = f"{before.name} has {cause}, and {error}"
            return Difference(model, split, "not comparable", note=reason)
        notes.append(f"{before.name} has {cause}: its weights were scored on the text of {after.name}")
    is_same_training = np.array_equal(old.nats, new.nats)
    spreads, about_seeds = ([], "") if is_same_training else spreads_of_both(model, split, before, after)
    change = compare(old, new, seed_half_width(spreads, split))
    if change is None:
        reason = "there is no character that both models know, or a loss is not finite"
        return Difference(model, split, "missing", note=reason)
    if about_seeds and change.low is not None:
        notes.append(about_seeds)
    return Difference(model, split, "compared", change.verdict, "; ".join(notes), **vars(change))


def losses_at(revision: Revision, path: Path) -> CharacterLosses | None:
    """A revision's losses, or None if it has none."""
    content = revision.read(path)
    return read_losses(io.BytesIO(content), f"{revision.name}: {path}") if content else None
