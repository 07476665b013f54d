"""What captions say about predicates: a second witness that costs no call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set

from imagescope_agent.nodes.chat.language.grounding import NUMBERS
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.state import Predicate

_PARTS = re.compile(r"[.,;:!?()\n]|\band\b|\bwith\b")
_EXACTLY = re.compile(rf"\bexactly ({'|'.join(NUMBERS[1:])}) ", re.I)


def bears_out(caption: str, predicates: Iterable[Predicate]) -> bool:
    """Whether a caption says all that predicates ask: the words of each in one part, or in none where No is expected.

    A number is borne out by as many parts ("a red boat, a black boat") or by itself ("two boats").
    """
    return all(_says(caption, each["question"]) == (each["expected"] == "Yes") for each in predicates)


def parts_with(caption: str, words: Set[str]) -> list[set[str]]:
    """The stems of the parts of a caption, between commas and "and", that have all these."""
    return [found for part in _PARTS.split(caption.lower()) if words <= (found := content_words(part))]


def _says(caption: str, question: str) -> bool:
    words = content_words(question)
    if found := _EXACTLY.search(question):
        number = content_words(found[1])  # nothing of "one", which may be an article
        words -= content_words("exactly") | number
        have = parts_with(caption, words)
        return len(have) == NUMBERS.index(found[1].lower()) or any(number and number <= part for part in have)
    return bool(parts_with(caption, words))
