"""What a text says must not be there, for embedders that do not heed negation: told apart by words, then subtracted.

An embedding of "a dog without a leash" is near to pictures of leashes. Subtracting the excluded concept's direction
from the query is text arithmetic in the joint space of words and pictures (Couairon et al., 2022, arXiv 2112.03162).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from imagescope_agent.retrieval.vectors import Vectors, unit_rows

OWN = 0.05  # length of what an excluded text has of its own below which it says the same as the wanted ones
ANYTHING = "a photo"  # what a text wants that does nothing but exclude

#: A negation that excludes nothing.
_AFFIRMED = re.compile(
    r"\b(?:not (?:only|just|sure|quite|so|too|much|far)|no (?:doubt|matter|idea|problem|longer|wonder)|why not|or not"
    r"|(?:do not|don['’]?t|never) (?:forget|miss|know|mind|care|remember|think|need))\b"
)
#: Where an exclusion begins; the words before it only lead to it: "that has no", "but not", "isn't".
_BEGINS = re.compile(
    r"(?:\b(?:but|and|or|with|that|which|who|there|it|is|are|was|were|has|have|had|does|do|did|should|must|i)\s+)*+"
    r"(?:\b(?P<list>without|exclud\w+|except(?: for)?|lacking|minus|free of|instead of|rather than|other than)"
    r"|\b(?P<one>no|not|never|neither|nor)|\b(?:is|are|was|were|has|have|had|does|do|did|should|must|ca|wo)n['’]?t)\b"
    r"(?:\s+(?:have|has|show\w*|contain\w*|includ\w*|be|being|any|even|a single|there|want|like))*+\s+"
)
_NOBODY = re.compile(r"\b(?:(?:with|and|but|there is|that has)\s+)*(?:nobody|no[ -]one)\b")
_FREE = re.compile(r"\b(\w+)-free ((?:[^\W\d_]+ ?)+)")
#: "without chairs, tables or people" goes on behind its commas.
_MORE = re.compile(r"[^,.;:!?]+(?:,[^,.;:!?]+)*?,?(?<!\bor\b)[^,.;:!?]*\b(?:n?or)\b[^,.;:!?]+")
_OF_IT = re.compile(
    r"\b(?:(?:on|in|at) (?:it|them|sight|(?:the|this|that) (?:picture|photo|image|shot))|there)\b"
)
_ACTION = re.compile(
    r"\w{2,}(?:ed|ing|n)\s*$"
)  # "covered in snow", "standing on one leg": the place belongs to it
_CLAUSE = r"[,.;:!?]|\b(?:but|yet|while|only)\b"
_LISTED = re.compile(_CLAUSE)
#: What "no" excludes ends at an "and" as well.
_ALONE = re.compile(rf"{_CLAUSE}|\band\b")
#: Words of place and time after what is excluded are of the picture: "a beach without people at sunset".
_PLACE = re.compile(
    r"\b(?:on|in|at|near|by|during|under|behind|from|for|next to|beside|around|through|along)\b"
)
_LOOSE = re.compile(r"^(?:and|or|but|with|,|\s)+\b|\b(?:and|or|but|with|that|which|who|is|are|has|have)\s*$")


class Wish(NamedTuple):
    """What a text wants, and what it excludes, each in its own words; `wanted` is "" where it only excludes."""

    wanted: str
    excluded: tuple[str, ...]


def split_exclusions(text: str) -> Wish:
    """A text apart from what it excludes; English words tell, and a text without them is wanted as it stands.

    >>> split_exclusions("a beach without any people at sunset")
    Wish(wanted='a beach at sunset', excluded=('people',))
    """
    rest = _NOBODY.sub(" without people", _FREE.sub(r"\2 without \1 ", " ".join(text.split())))
    held, excluded = list[str](), list[str]()
    while begin := _next(rest):
        held.append(rest[: begin.start()])
        rest = rest[begin.end() :]
        said, rest = _excluded(rest, listed=bool(begin["list"]))
        excluded += filter(None, (each.strip(" ,.;:!?") for each in re.split(r"\b(?:n?or)\b|,", said)))
    if not excluded:
        return Wish(text, ())
    return Wish(_tidy(" ".join([*held, rest])), tuple(excluded))


def without_excluded(wanted: Vectors, excluded: Vectors, weight: float) -> Vectors:
    """The wanted texts' unit vectors (n, d), moved away from excluded ones (m, d) by `weight`; unit length.

    What an excluded text shares with the wanted ones is not subtracted: only its part at right angles to their mean is.
    """
    if not len(excluded):
        return wanted
    middle = unit_rows(wanted.mean(axis=0, keepdims=True))
    apart = excluded - (excluded @ middle.T) * middle
    apart /= np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), OWN)
    return unit_rows(wanted - weight * apart.sum(axis=0))


def _excluded(rest: str, *, listed: bool) -> tuple[str, str]:
    """What is excluded at the beginning of a text, and what stands behind it."""
    more, end = _MORE.match(rest), (_LISTED if listed else _ALONE).search(rest)
    if more and not _BEGINS.search(f" {more[0].lower()} "):
        return more[0], rest[more.end() :]
    said, rest = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    said = _OF_IT.sub("", said)
    place = _PLACE.search(said)
    if place and said[: place.start()].strip() and not _ACTION.search(said[: place.start()]):
        said, rest = said[: place.start()], said[place.start() :] + rest
    return said, rest


def _next(text: str) -> re.Match[str] | None:
    """The first negation of a text that excludes something."""
    affirmed = [each.span() for each in _AFFIRMED.finditer(text.lower())]
    found = _BEGINS.finditer(text.lower())
    return next((each for each in found if not any(_meet(each.span(), span) for span in affirmed)), None)


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _tidy(text: str) -> str:
    """A text from which words were taken, without what they leave hanging."""
    text = re.sub(r"\s*,\s*(?=[,.;:!?]|$)|\s+(?=[,.;:!?])", "", " ".join(text.split()))
    while (tidied := _LOOSE.sub("", text).strip(" ,")) != text:
        text = tidied
    return text
