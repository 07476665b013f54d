"""What a text shows: its letters, without what has no width."""

from __future__ import annotations

import unicodedata

#: Letters and marks by their category that show nothing: fillers and joiners.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_SELECTORS = tuple(map(chr, range(0xFE00, 0xFE10)))  # choose between forms of the letter before them


def said(text: str) -> str:
    """What a text says: without spaces, control characters and what has no width around it; "" when nothing is left."""
    start = next((place for place, letter in enumerate(text) if _is_seen(letter)), len(text))
    end = next((place for place in range(len(text), start, -1) if _is_seen(text[place - 1])), start)
    while start < end and text.startswith(_SELECTORS, end):
        end += 1
    return text[start:end]


def _is_seen(letter: str) -> bool:
    return not (
        letter in _FILLERS
        or letter in _SELECTORS
        or unicodedata.category(letter) in ("Cc", "Cf", "Zs", "Zl", "Zp")
    )
