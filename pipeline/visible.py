"""Text that is safe to print: what controls a terminal, reorders text or cannot be seen becomes a symbol.

Files keep the text as it is. Everything that is printed or logged goes through :func:`visible`.
"""

import unicodedata

SYMBOLS = {"\n": "↵", "\r": "←", "\t": "⇥", "\x7f": "␡"}
"""Symbols of controls, where Unicode's own pictures of them (␛ for ESC) are not the usual ones."""

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories: controls, format characters, surrogates, line and paragraph separators."""

SPACES = {" ": "␣", "\u3000": "␣␣"}
"""Symbols of spaces, for where a character stands alone."""

JOINERS = "\u200c\u200d"
"""Part of words and of emoji."""

NUMBER_SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Format characters that are drawn, as signs of Arabic, Syriac and Kaithi numbers."""


class _Symbols(dict[int, str]):
    """What to print for each code point; entries are made as they are needed."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if unicodedata.category(char) not in HIDDEN or char in JOINERS + NUMBER_SIGNS:
            shown = char
        elif char in SYMBOLS:
            shown = SYMBOLS[char]
        else:
            shown = chr(0x2400 + code) if code < 0x20 else f"<U+{code:04X}>"
        self[code] = shown
        return shown


_IN_ONE_LINE = _Symbols()
_IN_LINES = _Symbols({ord("\n"): "\n", ord("\t"): "\t"})


def visible(text: str, *, keep_lines: bool = False) -> str:
    """The text with symbols for characters that are not to reach a terminal; with ``keep_lines``, its line
    breaks and tabs stay.
    """
    return text.translate(_IN_LINES if keep_lines else _IN_ONE_LINE)
