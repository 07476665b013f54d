"""Which of several references the words of a query give a thing to: "the car of image 1", "the second one's boat"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import permutations

_PICTURES = re.compile(r"(?:image|picture|photo|photograph|pic|shot|frame|drawing|reference|number|no|one)s?")
_CARDINALS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
_ORDINALS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
}
_DIGITS = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?")
_BREAK = 3  # words that a comma is worth
#: A picture by its number, not a file ("image 3.png"), a shape ("image 16:9") or a wish ("picture 3 boats").
_NUMBERED = re.compile(
    r"\b(?:image|photo|reference|(?:of|from|in|on|like|as|to|than|with|at|by|the|and|or)\s+picture)\s+"
    r"(?:no\.?\s*|number\s+|#)?(\d{1,2})\b(?![.:/]?\w)",
    re.I,
)
_TOKEN = re.compile(r"[^\W_]+|[,.;:!?]")


def said_references(query: str, words: Sequence[str], count: int) -> dict[str, int]:
    """The number of the reference by each word, where one is said nearer to it than any other.

    Of several words each has a reference of its own where there are enough: in "image 1 has the car, image 2 the place"
    the car is nearer to the 2 than the place is to the 1.

    Args:
        query: in English.
        words: of the query, in lower case; its things.
        count: how many references there are.
    """
    tokens = _TOKEN.findall(re.sub(r"['’]s\b", "", query.lower()))
    said = [(start, end, number) for start, end, number in _said(tokens) if number <= count]
    numbers = sorted({number for _, _, number in said})
    places = {word: tokens.index(word) for word in words if word in tokens}
    if not numbers or len(places) > count:
        return {}
    far = {
        (word, number): min(_apart(tokens, place, each) for each in said if each[2] == number)
        for word, place in places.items()
        for number in numbers
    }
    own = permutations(numbers, len(places)) if len(places) <= len(numbers) else []
    costs = sorted((sum(far[pair] for pair in zip(places, each, strict=True)), each) for each in own)
    if costs:
        even = len(costs) > 1 and costs[0][0] == costs[1][0]
        return {} if even else dict(zip(places, costs[0][1], strict=True))
    nearest = {number: sorted((far[word, number], word) for word in places) for number in numbers}
    return {found[0][1]: number for number, found in nearest.items() if found[0][0] < found[1][0]}


def absent_references(query: str, count: int) -> list[int]:
    """The numbers of references that an English query names and that are not there: "the tree of image 3" of two.

    Args:
        query: in the user's words.
        count: how many references there are.
    """
    found = (int(each[1]) for each in _NUMBERED.finditer(query))
    return sorted({number for number in found if number > count})


def _said(tokens: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Where a reference is said: first and last token, and its number."""
    for place, token in enumerate(tokens):
        after = tokens[place + 1] if place + 1 < len(tokens) else ""
        if token in _ORDINALS or (_DIGITS.fullmatch(token) and not token.isdigit()):
            number = _ORDINALS.get(token) or int(_DIGITS.fullmatch(token)[1])  # type: ignore[index]
            yield place, place + bool(_PICTURES.fullmatch(after)), number
        elif _PICTURES.fullmatch(token) and (after in _CARDINALS or _DIGITS.fullmatch(after)):
            yield place, place + 1, _CARDINALS.get(after) or int(_DIGITS.fullmatch(after)[1])  # type: ignore[index]


def _apart(tokens: Sequence[str], place: int, said: tuple[int, int, int]) -> int:
    """How many words a thing is away from where a reference is said."""
    start, end, _ = said
    between = tokens[end + 1 : place] if place > end else tokens[place + 1 : start]
    return sum(1 if each[0].isalnum() else _BREAK for each in between)
