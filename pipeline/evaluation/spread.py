"""How far apart trainings end that differ only in their seed, as ``refrain spread`` has measured it."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from pipeline import artifacts
from pipeline.arithmetic.rounding import six_digits
from pipeline.errors import RefrainError
from pipeline.evaluation.bootstrap import student_quantile
from pipeline.params.corpus import HELD_OUT
from pipeline.params.load import Params, check_params
from pipeline.revisions import WORKSPACE, Revision, params_of

LEAST_SEEDS = 3


@dataclass(frozen=True)
class Spread:
    """The spread of one model.

    ``perplexity`` has the held-out perplexities by split, in the order of ``seeds``.
    ``relative_standard_deviation`` is that of a training, by split: 0.02 means that perplexities of two
    trainings differ by 0.02 times the square root of 2, typically. ``parameters_digest`` is that of
    the parameters with which the model was trained (see :func:`parameters_digest`).
    """

    parameters_digest: str
    seeds: list[int]
    perplexity: dict[str, list[float]]
    relative_standard_deviation: dict[str, float]


_SPREADS = TypeAdapter(dict[str, Spread])


def spread_of(parameters_digest: str, perplexities: dict[int, dict[str, float]]) -> Spread:
    """The spread of perplexities, given by seed and split."""
    seeds = list(perplexities)
    by_split = {
        split: [perplexities[seed][split] for seed in seeds]
        for split in HELD_OUT
        if all(split in of_seed for of_seed in perplexities.values())
    }
    deviations = {split: relative_standard_deviation(values) for split, values in by_split.items()}
    return Spread(parameters_digest, seeds, by_split, deviations)


def relative_standard_deviation(perplexities: Sequence[float]) -> float:
    """The standard deviation of the logarithms, which for small ones is that of relative differences."""
    logarithms = [math.log(perplexity) for perplexity in perplexities]
    mean = math.fsum(logarithms) / len(logarithms)
    squares = math.fsum((logarithm - mean) ** 2 for logarithm in logarithms)
    return six_digits(math.sqrt(squares / (len(logarithms) - 1)))


def parameters_digest(params: Params, model: str) -> str:
    """A digest of what a model's spread belongs to: all parameters of its training but the seed.

    Keys with their default do not count, so a new version's new key changes nothing. The text and the code do
    not count either: while they change a little, the spread stays much the same, and nightly runs need it.
    """
    train = params.train_params(model).model_dump(mode="json", exclude={"sample"}, exclude_defaults=True)
    own = params.models[model].model_dump(mode="json", exclude={"train"}, exclude_defaults=True)
    shared = params.model_dump(mode="json", include={"corpus", "vocab"}, exclude_defaults=True)
    content = json.dumps({**shared, "train": train, "model": own}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def seed_half_width(spreads: Sequence[Spread], split: str) -> float:
    """Half the width of the 95% interval of the difference of two mean losses, if only the seeds differ.

    ``spreads`` are those of the two models. There is nothing to add, 0, if they were not measured.
    """
    deviations = [spread.relative_standard_deviation.get(split, 0.0) for spread in spreads]
    degrees = min((len(spread.seeds) for spread in spreads), default=2) - 1
    return student_quantile(degrees) * math.hypot(*deviations)


def read_spreads(revision: Revision) -> dict[str, Spread]:
    """The spread of each model; empty if there is no file. Raises :class:`RefrainError` if it is damaged."""
    content = revision.read(artifacts.SPREAD)
    try:
        spreads = _SPREADS.validate_json(content) if content else {}
        is_whole = all(map(_is_whole, spreads.values()))
    except ValidationError:
        is_whole = False
    if not is_whole:
        hint = "check out another one, or delete it" if revision.name == WORKSPACE else "commit another one"
        raise RefrainError(f"{revision.name}: {artifacts.SPREAD} is damaged: {hint}")
    return spreads


def _is_whole(spread: Spread) -> bool:
    """Whether the figures belong together: people and git may have merged them."""
    figures = list(spread.perplexity.values())
    if len(spread.seeds) < LEAST_SEEDS or any(len(of_split) != len(spread.seeds) for of_split in figures):
        return False
    if not all(math.isfinite(value) and value > 0 for of_split in figures for value in of_split):
        return False
    deviations = {
        split: relative_standard_deviation(of_split) for split, of_split in spread.perplexity.items()
    }
    return deviations == spread.relative_standard_deviation


def write_spreads(spreads: dict[str, Spread]) -> None:
    """Write what :func:`read_spreads` reads from the workspace."""
    artifacts.write_json(artifacts.SPREAD, _SPREADS.dump_python(spreads))


def spreads_of_both(model: str, split: str, before: Revision, after: Revision) -> tuple[list[Spread], str]:
    """The spread of a model as ``before`` and as ``after`` has it, and a note on what was found.

    Either revision may hold what was measured on the split. If only one of the two models was, it stands for
    both. If none was, the list is empty.
    """
    found = [read_spreads(revision).get(model) for revision in (after, before)]
    measured = [spread for spread in found if spread is not None and split in spread.perplexity]
    wanted = [digest_at(revision, model) for revision in (before, after)]
    matching = [
        next((spread for spread in measured if spread.parameters_digest == digest), None) for digest in wanted
    ]
    known = [spread for spread in matching if spread is not None]
    if not known:
        reason = "belongs to other parameters" if measured else "does not have it"
        note = f"the interval leaves out other seeds: {artifacts.SPREAD} {reason} (run `refrain spread`)"
        return [], note
    note = "the interval allows for another seed"
    if len(known) < len(matching):
        owner = before if matching[0] else after
        note += f", measured with the parameters of {owner.name}"
    return [known[0], known[-1]], note


def digest_at(revision: Revision, model: str) -> str | None:
    """The digest of a revision's parameters; None if this version of Refrain does not understand them."""
    try:
        return parameters_digest(check_params(params_of(revision)), model)
    except RefrainError:
        return None
