"""The documents of a text: what is trained on, or held out, as a whole.

Each file is a document. Lyrics consist of songs, with blank lines between them. A document has a key that
does not change when the text grows or the document is edited: a hash of the file's path inside the corpus, or
of the song's first line.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

MAX_TITLE = 1000
"""Characters of a song's first line that count."""


@dataclass(frozen=True)
class PieceDocuments:
    """The documents that begin in a piece: the number of normalised characters before each, and its key.

    If ``first_is_doubtful``, the first one is a document only if a blank line ends the piece before.
    """

    starts: tuple[int, ...]
    keys: tuple[int, ...]
    first_is_doubtful: bool
    ends_blank: bool


class DocumentScan:
    """Finds the documents of a piece while its text is normalised."""

    def __init__(self, has_songs: bool) -> None:
        self._has_songs = has_songs
        self._characters = 0
        self._starts: list[int] = []
        self._keys: list[int] = []
        self._title: str | None = None  # of a song whose first line is not complete
        self._after_blank = self._first_is_doubtful = has_songs
        self._line_is_blank = True

    def begin_file(self, name: str) -> None:
        """A file begins, whose path inside the corpus is ``name``."""
        if self._has_songs:
            self._end_title()
            self._after_blank = self._line_is_blank = True
            self._first_is_doubtful = self._first_is_doubtful and bool(self._starts)
        else:
            self._starts.append(self._characters)
            self._keys.append(key_of(name))

    def normalized(
        self, normalize: Callable[[Iterable[str]], Iterator[str]], chunks: Iterable[str]
    ) -> Iterator[str]:
        """The chunks of a piece, normalised."""
        for chunk in normalize(self._cut_at_songs(chunks) if self._has_songs else chunks):
            self._characters += len(chunk)
            yield chunk

    def documents(self) -> PieceDocuments:
        """What was found so far."""
        self._end_title()
        ends_blank = self._has_songs and self._after_blank
        return PieceDocuments(tuple(self._starts), tuple(self._keys), self._first_is_doubtful, ends_blank)

    def _cut_at_songs(self, chunks: Iterable[str]) -> Iterator[str]:
        """The same text. A song always begins a chunk, so the characters before it have been counted."""
        half_break = False  # a \r at the end of a chunk may be half of \r\n
        for chunk in chunks:
            cut = place = int(half_break and chunk[0] == "\n")
            if place:
                yield "\n"
            for line in chunk[place:].splitlines(keepends=True):
                is_blank = line.isspace()
                if self._after_blank and not is_blank:
                    if place > cut:
                        yield chunk[cut:place]
                    cut = place
                    self._end_title()
                    self._starts.append(self._characters)
                    self._title, self._after_blank = "", False
                place += len(line)
                self._read_line(line, is_blank)
            half_break = chunk[-1] == "\r"
            if place > cut:
                yield chunk[cut:]

    def _read_line(self, line: str, is_blank: bool) -> None:
        """Read a line, or the part of it that a chunk has."""
        if self._title is not None:
            self._title = (self._title + line)[:MAX_TITLE]
        self._line_is_blank = self._line_is_blank and is_blank
        if line[-1] in "\r\n":
            self._end_title()
            if self._line_is_blank:
                self._after_blank = True
                self._first_is_doubtful = self._first_is_doubtful and bool(self._starts)
            self._line_is_blank = True

    def _end_title(self) -> None:
        if self._title is not None:
            self._keys.append(key_of(self._title.strip()))
            self._title = None


def key_of(name: str) -> int:
    """64 bits of the SHA-256 of a name."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8])
