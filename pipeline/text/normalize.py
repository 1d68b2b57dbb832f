"""Normalising a text chunk by chunk. The result does not depend on where the chunks are cut."""

import re
from collections.abc import Callable, Iterable, Iterator

import regex

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_NON_LETTERS = regex.compile(r"[^\p{L}\p{M}]+")


def separator(normalize: str, before: str, after: str, begins_file: bool) -> str:
    """The text between two pieces that were normalised separately.

    ``before`` is the last character of the first piece, and ``after`` the first character of the second, both
    before normalising. Either is empty if its piece has no text. A new file starts a new line.
    """
    if not (before and after):
        return ""
    line_break = begins_file and before != "\n"
    match normalize:
        case "letters":
            return " " if line_break or _NON_LETTERS.search(before + after) else ""
        case "lyrics":
            return " " if line_break and before != "\r" else ""
        case _:
            return "\n" if line_break else ""


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


NORMALIZERS: dict[str, Callable[[Iterable[str]], Iterator[str]]] = {
    "none": none,
    "lyrics": lyrics,
    "letters": letters,
}
