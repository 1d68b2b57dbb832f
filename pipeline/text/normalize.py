"""Normalisations of a text that arrives in chunks; each gives the same text however it was cut."""

import re
from collections.abc import Callable, Iterable, Iterator

import regex

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_NON_LETTERS = regex.compile(r"[^\p{L}\p{M}]+")


def none(chunks: Iterable[str]) -> Iterator[str]:
    """The text as it is."""
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
    """Every run of non-letters becomes one space; both ends stripped; lower case.

    Letters are Unicode's, with the marks that combine with them, so that a text in any script keeps its
    words.
    """
    started = gap = False
    for chunk in chunks:
        # str.lower() looks at the letters around a capital sigma, which may lie in other chunks.
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
