"""The start of a held-out text, with the loss of each character: what the page shows in colour."""

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipeline import artifacts
from pipeline.arithmetic.rounding import six_digits
from pipeline.data.encoded import EncodedText
from pipeline.errors import RefrainError
from pipeline.evaluation.losses import CharacterLosses, read_losses
from pipeline.params.corpus import HELD_OUT
from pipeline.text.vocab import VocabFile
from pipeline.visible import JOINERS, visible

SHOWN_CHARACTERS = 400

STEPS = 6
"""Steps of the scale, from certainty to a blind guess. One more step is for what costs more than that."""


@dataclass(frozen=True)
class Character:
    """A character as it is shown, its step of the scale, and its loss in words.

    The first character of a text has no loss: ``step`` is None.
    """

    shown: str
    is_unk: bool
    step: int | None = None
    loss: str = ""


@dataclass(frozen=True)
class HeldOutText:
    """The start of the split ``split`` as each model reads it. ``edges`` are the steps' ends, in nats.

    ``ids`` are its characters.
    """

    split: str
    ids: list[int]
    edges: list[float]
    by_model: dict[str, list[Character]]


def held_out_text(models: Iterable[str], stored: VocabFile) -> HeldOutText | None:
    """The start of the first held-out split that has losses. None if there is none.

    Raises :class:`RefrainError` if a model's losses are damaged or those of another text.
    """
    for split in HELD_OUT:
        text = EncodedText(artifacts.ENCODED, split, stored)
        if len(text) > 1:
            edges = scale(len(stored.vocab))
            ids = text[:SHOWN_CHARACTERS].tolist()
            plain = [Character(shown(stored.vocab.chars[i]), i == stored.vocab.unk_id) for i in ids]
            by_model = {model: with_losses(plain, losses_on(model, split, text), edges) for model in models}
            return HeldOutText(split, ids, edges, by_model)
    return None


def losses_on(model: str, split: str, text: EncodedText) -> CharacterLosses:
    """The losses of a model, which must be those of ``text``."""
    path = artifacts.losses_path(model, split)
    losses = read_losses(path, str(path))
    if losses.text_sha256 != text.sha256:
        raise RefrainError(f"{path} has the losses of another text: run `dvc repro`")
    return losses


def with_losses(plain: list[Character], losses: CharacterLosses, edges: list[float]) -> list[Character]:
    """The characters with their steps and losses; the first has none."""
    first, *rest = plain
    nats = losses.nats[: len(rest)].tolist()
    pairs = zip(rest, nats, strict=True)
    return [first, *(replace(char, step=bisect_left(edges, n), loss=loss_in_words(n)) for char, n in pairs)]


def scale(vocab_size: int) -> list[float]:
    """The steps' ends in nats. The last is the loss of a blind guess among all characters."""
    return [six_digits(math.log(vocab_size) * step / STEPS) for step in range(1, STEPS + 1)]


def loss_in_words(nats: float) -> str:
    """A loss and the probability that it means, such as ``3.21 nats, 4.0%``."""
    return f"{abs(nats):.2f} nats, {percentage(math.exp(-nats))}"  # a loss may be -0.0


def percentage(share: float) -> str:
    """A share with about two digits that count."""
    for digits, least in enumerate((0.1, 0.01, 0.001, 0.0001)):
        if share >= least:
            return f"{share:.{digits}%}"
    return "less than 0.01%"


def shown(char: str) -> str:
    """A character that stands alone. Line breaks and joiners can be seen, too."""
    if char == "\n":
        return f"{visible(char)}\n"
    return f"<U+{ord(char):04X}>" if char in JOINERS else visible(char)
