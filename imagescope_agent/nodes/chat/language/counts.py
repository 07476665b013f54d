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


def counted_things(message: str) -> Iterator[str]:
    """Each number of things that a message says a picture shows: "six things"."""
    for clause in _CLAUSE.split(message):
        found = _COUNT.search(clause)
        if not found or _OTHER.search(clause[: found.start()]):
            continue
        if _OF_PICTURE.search(clause) and not _SPEAKER.search(clause):
            number = found[1].lower()
            yield f"{NUMBERS[int(number)] if number.isdigit() else number} things"
