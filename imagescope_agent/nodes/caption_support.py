"""What captions say about predicates: a second witness that costs no call."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import takewhile

from imagescope_agent.nodes.chat.language.grounding import NUMBERS
from imagescope_agent.nodes.intent.drift import FUNCTION
from imagescope_agent.prompting import NEGATED
from imagescope_agent.retrieval.stems import stem
from imagescope_agent.state import Predicate

_PARTS = re.compile(r"[.,;:!?()\n]|\band\b|\bwith\b")
_EXACTLY = re.compile(rf"\bexactly ({'|'.join(NUMBERS[1:])}) (.+)", re.I)
_SIDE = re.compile(
    r"\b(?:left|right|above|below|under|over|behind|in front|between|next to|beside|near)\b", re.I
)
_ONE = frozenset(["a", "an", "one", "the"])


def bears_out(caption: str, predicates: Sequence[Predicate]) -> bool:
    """Whether a caption says all that predicates ask: the words of each in one part of it, in none for a No.

    A number is borne out by as many parts ("a red boat, a black boat") or by itself ("two boats"). No caption tells
    what lies where, or what is like a reference; and nothing is told where only something must not be there.
    """
    wanted = [each for each in predicates if each["expected"] == "Yes"]
    if not wanted or any("reference" in each or _SIDE.search(each["question"]) for each in predicates):
        return False
    return all(_says(caption, each["question"]) == (each["expected"] == "Yes") for each in predicates)


def number_of(caption: str, things: str) -> int | None:
    """How many of some things a caption names, 0 for none; None where it names several without a number."""
    found, words = 0, _words(things)
    for part in _parts_with(caption, words):
        before = [*takewhile(lambda word: stem(word) not in words, part.split())]
        told = [NUMBERS.index(word) for word in before if word in NUMBERS[2:]]
        if not told and not _ONE & {*before}:
            return None
        found += told[0] if told else 1
    return found


def exactly(text: str) -> tuple[int, str] | None:
    """The number and the things of "exactly two red cars"; None where no such number is said."""
    found = _EXACTLY.search(text)
    return (NUMBERS.index(found[1].lower()), found[2]) if found else None


def _says(caption: str, question: str) -> bool:
    if told := exactly(question):
        return number_of(caption, told[1]) == told[0]
    return bool(_parts_with(caption, _words(question)))


def _parts_with(caption: str, words: frozenset[str]) -> list[str]:
    """The parts of a caption, between commas, "and" and "with", that have all these words and no negation."""
    return [part for part, has in _parts(caption) if words and words <= has]


@lru_cache(maxsize=4096)  # each predicate looks at it
def _parts(caption: str) -> tuple[tuple[str, frozenset[str]], ...]:
    parts = _PARTS.split(caption.lower())
    return tuple((part, _words(part)) for part in parts if not NEGATED.search(part))


@lru_cache(maxsize=256)  # each image is asked for the same
def _words(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in re.findall(r"[^\W_]{2,}", text.lower()) if word not in FUNCTION)
