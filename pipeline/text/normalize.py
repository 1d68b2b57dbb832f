"""Normalising a text chunk by chunk. The result does not depend on where the chunks are cut."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import regex

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_NON_LETTERS = regex.compile(r"[^\p{L}\p{M}]+")


@dataclass(frozen=True)
class Normalizer:
    """One way to normalise a text, and what stands between two pieces that were normalised separately.

    ``apply`` normalises the chunks of a text. ``between`` gets the last character of the first piece and the
    first one of the second, both before normalising, and whether a new line starts there. ``strips_ends``
    says whether the text loses white space at its ends; ``has_songs``, whether blank lines part songs.
    """

    apply: Callable[[Iterable[str]], Iterator[str]]
    between: Callable[[str, str, bool], str]
    strips_ends: bool = False
    has_songs: bool = False

    def separator(self, before: str, after: str, begins_file: bool) -> str:
        """The text between two pieces. ``before`` or ``after`` is empty if its piece has no text.

        A new file starts a new line.
        """
        return self.between(before, after, begins_file and before != "\n") if before and after else ""


def none(chunks: Iterable[str]) -> Iterator[str]:
    """The text unchanged."""
    yield from chunks


def lyrics(chunks: Iterable[str]) -> Iterator[str]:
    r"""Each line break (``\n``, ``\r`` or ``\r\n``) becomes one space."""
    held = ""  # a \r at the end of a chunk may be half of \r\n
    for chunk in chunks:
        chunk = held + chunk
        held = "\r" if chunk.endswith("\r") else ""
        yield _LINE_BREAK.sub(" ", chunk.removesuffix("\r") if held else chunk)
    if held:
        yield " "


def letters(chunks: Iterable[str]) -> Iterator[str]:
    """Lower-case letters. Each run of other characters becomes one space; both ends are stripped.

    All Unicode letters and combining marks count as letters, so a text in any script keeps its words.
    """
    started = gap = False
    for chunk in chunks:
        # str.lower() depends on the letters around a capital sigma, which may be in other chunks.
        spaced = _NON_LETTERS.sub(" ", chunk.replace("Σ", "σ").lower())
        words = spaced.strip(" ")
        if not words:
            gap = gap or bool(spaced)
            continue
        yield f" {words}" if started and (gap or spaced[0] == " ") else words
        started, gap = True, spaced[-1] == " "


def _between_raw(_before: str, _after: str, new_line: bool) -> str:
    return "\n" if new_line else ""


def _between_lyrics(before: str, _after: str, new_line: bool) -> str:
    return " " if new_line and before != "\r" else ""


def _between_letters(before: str, after: str, new_line: bool) -> str:
    return " " if new_line or _NON_LETTERS.search(before + after) else ""


NORMALIZERS = {
    "none": Normalizer(none, _between_raw),
    "lyrics": Normalizer(lyrics, _between_lyrics, has_songs=True),
    "letters": Normalizer(letters, _between_letters, strips_ends=True),
}
