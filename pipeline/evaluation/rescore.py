"""The losses of another revision's model on this revision's held-out text."""

from dataclasses import dataclass

import numpy as np

from pipeline import artifacts
from pipeline.artifacts import file_sha256
from pipeline.data.encoded import EncodedText
from pipeline.data.text import Integers
from pipeline.device import choose_device, set_up
from pipeline.errors import RefrainError
from pipeline.evaluation.losses import CharacterLosses
from pipeline.evaluation.perplexity import read
from pipeline.evaluation.recitation import recitation
from pipeline.evaluation.yardstick import passages
from pipeline.nn.language_model import CharLM
from pipeline.nn.weights import describe_model, load_model
from pipeline.params.runtime import RuntimeParams
from pipeline.revisions import Revision
from pipeline.text.vocab import UNK, Vocab, read_characters, read_vocab

PASSAGES, PASSAGE_CHARACTERS = 50, 200
"""So many passages of so many characters are looked for in training texts."""

RECITED = 0.9
"""A passage stands in a text if the text has this share of its strings of eight characters."""

KNOWN = 0.5
"""Passages are looked for if more than this share of their characters is in both vocabularies."""


class NotComparableError(Exception):
    """Why a model cannot be compared."""


@dataclass(frozen=True)
class HeldOut:
    """A held-out split, the training split beside it, and their vocabulary."""

    text: EncodedText
    train: EncodedText
    vocab: Vocab


def rescore(model: str, split: str, old: Revision, new: Revision) -> CharacterLosses:
    """The losses of ``model``, as ``old`` has it, on the held-out text of ``new``.

    A character is ``<unk>`` if either vocabulary lacks it. Raises :class:`NotComparableError` if the weights
    or texts are lost or in another format, if the old model does not know all characters and has no
    ``<unk>``, or if it was trained on a part of this text.
    """
    lm, vocab = old_model(model, old)
    with new.local(artifacts.VOCAB) as path, new.local(artifacts.ENCODED) as encoded:
        if path is None or encoded is None:
            raise NotComparableError(f"the text of {new.name} is neither in DVC's cache nor in its remote")
        stored = read_vocab(path)
        texts = [EncodedText(encoded, name, stored) for name in (split, "train")]
        held_out = HeldOut(texts[0], texts[1], stored.vocab)
        check_not_trained_on(old, held_out)
        ids = ids_in(vocab, stored.vocab)[np.concatenate(list(texts[0].chunks()))]
    nats = np.empty(len(ids) - 1, np.float32)
    try:
        read(lm, ids, nats)
    except RefrainError as error:
        raise NotComparableError(f"{old.name}: {error}") from None
    return CharacterLosses(nats, ids[1:] == vocab.unk_id, texts[0].sha256)


def old_model(model: str, revision: Revision) -> tuple[CharLM, Vocab]:
    """A model of another revision, and its characters."""
    with revision.local(artifacts.model_path(model)) as path, revision.local(artifacts.VOCAB) as vocab:
        if path is None or vocab is None:
            raise NotComparableError(
                f"the weights of {revision.name} are neither in DVC's cache nor in its remote"
            )
        try:
            known, trained = read_characters(vocab), describe_model(path)
            device = choose_device("cpu")
            set_up(device, RuntimeParams().threads, trained["precision"], trained["config"]["hidden_size"])
            return load_model(path, file_sha256(vocab), device), known
        except RefrainError:
            raise NotComparableError(f"the weights of {revision.name} are in another format") from None


def check_not_trained_on(old: Revision, held_out: HeldOut) -> None:
    """Raise :class:`NotComparableError` if passages of the text stand in the old training text only.

    Characters that one of the vocabularies lacks are equal to one another: each is ``<unk>`` somewhere.
    """
    with old.local(artifacts.VOCAB) as path, old.local(artifacts.ENCODED) as encoded:
        try:
            if path is None or encoded is None:
                raise RefrainError("lost")
            stored = read_vocab(path)
            shared = sorted({*stored.vocab.chars} & {*held_out.vocab.chars} - {UNK})
            old_train = InShared(EncodedText(encoded, "train", stored), stored.vocab, shared)
        except RefrainError:
            raise NotComparableError(
                f"the training text of {old.name} is lost or in another format: it may hold this text"
            ) from None
        text, new_train = (InShared(t, held_out.vocab, shared) for t in (held_out.text, held_out.train))
        # Two texts without common characters are equal in this sense, so passages have to say something.
        looked_for = [
            passage
            for passage in passages(text, PASSAGE_CHARACTERS, PASSAGES)
            if np.mean(passage < len(shared)) > KNOWN
        ]
        if not looked_for:
            raise NotComparableError("the vocabularies have too few characters of this text in common")
        shares = [[found.share or 0.0 for found in recitation(t, looked_for)] for t in (old_train, new_train)]
    seen = sum(before >= RECITED > now for before, now in zip(*shares, strict=True))
    if seen:
        raise NotComparableError(
            f"{seen / len(looked_for):.0%} of this text was training text in {old.name}, because the split "
            "differs"
        )


class InShared:
    """A text in ids of the characters that two vocabularies share; all others have the next id."""

    def __init__(self, text: EncodedText, vocab: Vocab, shared: list[str]) -> None:
        self._text = text
        ids = {char: number for number, char in enumerate(shared)}
        self._ids = np.array([ids.get(char, len(shared)) for char in vocab.chars])

    def __len__(self) -> int:
        return len(self._text)

    def __getitem__(self, places: slice) -> Integers:
        ids: Integers = self._ids[self._text[places]]
        return ids


def ids_in(old: Vocab, new: Vocab) -> Integers:
    """The id in ``old`` for each id of the vocabulary ``new``."""
    ids = {char: number for number, char in enumerate(old.chars)}
    unk = -1 if old.unk_id is None else old.unk_id
    table = np.array([unk if char == UNK else ids.get(char, unk) for char in new.chars])
    if (table < 0).any():
        raise NotComparableError("the old vocabulary lacks characters of this text and has no <unk>")
    return table
