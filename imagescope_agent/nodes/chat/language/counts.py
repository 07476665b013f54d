"""How many things a picture shows, whatever they are: "six things crammed in there"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from imagescope_agent.nodes.chat.language.grounding import NUMBERS

_COUNT = re.compile(
    rf"\b({'|'.join(NUMBERS[2:])}|[2-9]|10) (?:(?:different|separate|distinct) )?(?:things|objects|items)\b"
    r"(?! (?:to|i|you|we|about|wrong|that i|which i)\b)",
    re.I,
)
#: Before a number: "the two things", "at least two things" and "twenty two things" are others, or none of a picture.
_OTHER = re.compile(
    r"\b(?:least|most|than|over|under|up to|or|the|these|those|first|last|\w+ty|change|swap)[ -]$", re.I
)
#: What a clause that tells of a picture has beside the number; "two things: first, a car" has nothing of it.
_OF_PICTURE = re.compile(
    r"\b(?:there|(?:in|on|to) it|in all|in total|altogether|overall|exactly|visible|showing|contain\w*|"
    r"(?:it|picture|image|photo) shows|pictures?|images?|photos?|scene|"
    r"packed|crammed|squeezed|scattered|side by side)\b",
    re.I,
)
_SPEAKER = re.compile(r"\b(?:i|me|you|we|us)\b", re.I)  # "there are two things I do not like"
_CLAUSE = re.compile(r"[.,;:!?()\n]")


_OF_THEM = re.compile(
    rf"(?<!\bone )\b({'|'.join(NUMBERS[2:])}|[2-9]|10) of (?:them|those|these)\b|\bmake (?:it|them|that) "
    rf"({'|'.join(NUMBERS[2:])}|[2-9]|10)\b(?! (?:o'?clock|\w+s)\b)",
    re.I,
)
_PART_OF = re.compile(r"\b(?:all|any|only|just|of the|either|no|not|n't)(?: \w+)? $", re.I)
_ALIKE = frozenset(["fish", "sheep", "deer", "aircraft"])  # one and several of them


def number_in(word: str) -> str:
    """A number of several things in words, "" for any other word."""
    if word.isdecimal() and 2 <= int(word) < len(NUMBERS):
        return NUMBERS[int(word)]
    return word if word in NUMBERS[2:] else ""


def plural(thing: str) -> str:
    """The plural of what captions call a thing."""
    return thing if thing.endswith("s") or thing in _ALIKE else f"{thing}s"


def of_them(message: str) -> str:
    """How many of what was named last: of "there were two of them", of "make it two"; "" where that is not said."""
    found = _OF_THEM.search(message)
    return (
        ""
        if not found or _PART_OF.search(message[: found.start()])
        else number_in((found[1] or found[2]).lower())
    )


def counted_things(message: str) -> Iterator[str]:
    """Each number of things that a message says a picture shows: "six things"."""
    for clause in _CLAUSE.split(message):
        found = _COUNT.search(clause)
        if not found or _OTHER.search(clause[: found.start()]):
            continue
        if _OF_PICTURE.search(clause) and not _SPEAKER.search(clause):
            yield f"{number_in(found[1].lower())} things"
