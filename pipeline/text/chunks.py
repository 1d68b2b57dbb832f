"""Reading a text chunk by chunk, any number of characters at a time."""

from collections.abc import Iterable, Iterator

JOINED_CHARACTERS = 1 << 16


def joined(chunks: Iterable[str]) -> Iterator[str]:
    """The same text in chunks of at least :data:`JOINED_CHARACTERS`, except the last."""
    gathered, characters = [], 0
    for chunk in chunks:
        gathered.append(chunk)
        characters += len(chunk)
        if characters >= JOINED_CHARACTERS:
            yield "".join(gathered)
            gathered, characters = [], 0
    yield "".join(gathered)


class ChunkedText:
    """A text in chunks, from which any number of characters can be taken at a time."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self._chunks, self._left = chunks, ""

    def take(self, characters: int) -> Iterator[str]:
        """The next ``characters`` of the text in chunks, or fewer at its end. It reads no further."""
        while characters:
            chunk = self._left
            if not chunk:
                try:
                    chunk = next(self._chunks)
                except StopIteration:
                    return
            yield chunk[:characters]
            self._left = chunk[characters:]
            characters -= min(characters, len(chunk))

    def skip_to_end(self) -> None:
        """Read the rest of the text."""
        for _ in self._chunks:
            pass
