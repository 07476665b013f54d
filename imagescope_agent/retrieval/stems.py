"""The words of an English text, and what is left of them without their endings."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=32)  # each of the notes on a query looks at its words
def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, of three letters or more, in lower case and without the endings of English."""
    return tuple(map(stem, written_words(text.lower())))


def written_words(text: str) -> list[str]:
    """The words of a text, of three letters or more, as they stand there."""
    return re.findall(r"[^\W\d_]{3,}", text)


def stem(word: str) -> str:
    """A word in lower case without its ending, if it has one of English."""
    for ending in ("ing", "es", "ed", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
