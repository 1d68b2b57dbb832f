"""What training and evaluation read: the ids of a text, in order."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
"""Ids, or positions in a text."""


class Text(Protocol):
    """Character ids: an array, a CPU tensor, or :class:`pipeline.data.encoded.EncodedText`."""

    def __len__(self) -> int: ...
    def __getitem__(self, places: slice, /) -> NDArray[Any]: ...
