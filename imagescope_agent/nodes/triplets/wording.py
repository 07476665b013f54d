"""Words of an edit that a person could not follow: they speak of "the" thing where the reference shows several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from imagescope_agent.nodes.intent.drift import FUNCTION


def names_several(text: str, caption: str) -> bool:
    """Whether a definite phrase of the text stands more than once in the caption of the reference, or in the text.

    A phrase is the longest run of content words after "the" that the caption has too; what it has not says nothing.
    Only English articles are known: edits in other languages are left to the judge.
    """
    told, found = _words(caption), [phrase for phrase in _definite(_words(text), _words(caption)) if phrase]
    return len(set(found)) < len(found) or any(_times(phrase, told) > 1 for phrase in found)


def _definite(text: Sequence[str], caption: Sequence[str]) -> list[tuple[str, ...]]:
    """The longest phrase after each "the" that the caption has; empty where it has none."""
    found = []
    for start in (place + 1 for place, word in enumerate(text) if word == "the"):
        length = len(list(takewhile(lambda word: word not in FUNCTION, text[start:])))
        ends = range(start + length, start, -1)
        phrases = (tuple(text[start:end]) for end in ends)
        found.append(next((phrase for phrase in phrases if _times(phrase, caption)), ()))
    return found


def _times(phrase: Sequence[str], words: Sequence[str]) -> int:
    length = len(phrase)
    return sum(tuple(words[start : start + length]) == tuple(phrase) for start in range(len(words)))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
