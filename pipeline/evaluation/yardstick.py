"""How much of the held-out text stands in the training text: what samples are measured against."""

from collections.abc import Sequence

import numpy as np

from pipeline.data.text import Integers, Text
from pipeline.evaluation.recitation import Figures, means, recitation
from pipeline.text.vocab import Vocab

PASSAGES = 25
"""So many passages of each held-out split are looked for, or as many as it has side by side."""

MOST_CHARACTERS = 1 << 17
"""Passages of a split have this many characters at most, or there is one: they are in memory."""


def held_out_recitation(train: Text, held_out: Sequence[Text], length: int, vocab: Vocab) -> Figures | None:
    """Means over held-out passages of ``length`` characters; None if no split is that long.

    ``<unk>`` stands for different characters in the two texts, and models never write it: that of a passage
    is equal to nothing in the training text.
    """
    found = [passage for text in held_out for passage in passages(text, length, _number(text, length))]
    if vocab.unk_id is not None:
        found = [np.where(passage == vocab.unk_id, len(vocab), passage) for passage in found]
    return means(recitation(train, found)) if found else None


def _number(text: Text, length: int) -> int:
    return min(PASSAGES, len(text) // length, max(MOST_CHARACTERS // length, 1))


def passages(text: Text, length: int, number: int) -> list[Integers]:
    """``number`` passages of ``length`` characters, evenly spread from the start of a text to its end."""
    last = max(len(text) - length, 0)
    starts = (last * i // max(number - 1, 1) for i in range(number))
    return [np.asarray(text[start : start + length], np.int64) for start in starts]
