"""What a text says must not be there, for embedders that do not heed negation: told apart by words, then subtracted.

An embedding of "a dog without a leash" is near to pictures of leashes. Subtracting the excluded concept's direction
from the query is text arithmetic in the joint space of words and pictures (Couairon et al., 2022, arXiv 2112.03162).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from imagescope_agent.retrieval.vectors import Vectors, unit_rows

OWN = 0.05  # length of what an excluded text has of its own below which it says the same as the wanted ones
ANYTHING = "a photo"  # what a text wants that does nothing but exclude
LONG = 3  # words; a text that wants nothing else and excludes more of them was hardly meant so
AHEAD = 24  # words in which a list may end that begins with "without"

_TOKEN = re.compile(r"\"[^\"]*\"|“[^”]*”|(?<!\w)'[^']*'(?!\w)|[\w'’-]+|[^\w\s]")
_NOT = re.compile(
    r"no|not|never|neither|nor|without|exclud(?:e|es|ing)|except|lacking|minus|nobody|no-one|\w+n['’]t", re.I
)
_LIST = re.compile(r"without|exclud\w+|except|lacking|minus", re.I)
#: Behind these a negation excludes nothing: "not only", "no doubt", "no more than two", "No 5".
_AFFIRMED = frozenset(
    """
    only just sure quite so too much far unlike more less fewer doubt matter idea problem longer wonder forget miss know
    mind care remember need question fail certain
    """.split()  # noqa: SIM905
)
_SIGNS = frozenset("sign signs poster posters button label logo zone man's".split())  # noqa: SIM905
_FREE = frozenset(("duty", "hands", "toll", "carefree"))
_LEADS = frozenset(
    """
    but and or with that which who there it is are was were has have had does do did should must may can could would i
    we
    """.split()  # noqa: SIM905
)
_FILLERS = frozenset(
    """
    have has show shows showing contain contains containing include includes including be being any even there want like
    see for think believe that is was are were
    """.split()  # noqa: SIM905
)
_ENDS = frozenset("but yet while only then however".split())  # noqa: SIM905
_ARTICLES = frozenset("a an the my his her its their our this these some".split())  # noqa: SIM905
_PLACES = frozenset("on in at near by during under behind from next beside around through along".split())  # noqa: SIM905
_ONES = frozenset("the one ones that those it them".split())  # noqa: SIM905
_ABSENT = frozenset("there visible present around shown seen allowed wanted needed".split())  # noqa: SIM905
_ACTION = re.compile(
    r"\w{2,}(?:ed|ing|wn)", re.I
)  # "covered in snow", "shown on a wall": the place belongs to it
_IT = frozenset(("it", "them", "sight", "picture", "photo", "image", "shot", "background"))


class Wish(NamedTuple):
    """What a text wants, and what it excludes, each in its own words; `wanted` is "" where it only excludes."""

    wanted: str
    excluded: tuple[str, ...]


def split_exclusions(text: str) -> Wish:
    """A text apart from what it excludes; English words tell, and a text without them is wanted as it stands.

    What is quoted, named on a sign or affirmed ("not only") excludes nothing.

    >>> split_exclusions("a beach without any people at sunset")
    Wish(wanted='a beach at sunset', excluded=('people',))
    """
    words = _joined_pairs(_TOKEN.findall(text))
    held, excluded, place = list[str](), list[str](), 0
    while place < len(words):
        word = words[place].lower()
        if word.endswith("-free") and (what := word.removesuffix("-free")) not in _FREE:
            excluded.append(what)
            place += 1
            continue
        if not _NOT.fullmatch(word) or _affirms(words, place):
            held.append(words[place])
            place += 1
            continue
        said, after = _said(words, place)
        if not said or said[-1].lower() in _SIGNS:
            held += words[place:after] or [words[place]]
            place = max(after, place + 1)
            continue
        while held and held[-1].lower() in _LEADS:
            held.pop()
        if len(said) == 1 and said[0].lower() in _ABSENT:
            start = 1 + max((n for n, each in enumerate(held) if _stops(each)), default=-1)
            said, held = held[start:], held[:start]
        excluded += _items(said)
        place = after
    wanted = _text(held)
    if not excluded or (not wanted and max(len(each.split()) for each in excluded) > LONG):
        return Wish(text, ())
    return Wish(wanted, tuple(excluded))


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


def _joined_pairs(words: Sequence[str]) -> list[str]:
    """The words with "no one" as one, and "instead of", "rather than" and "other than" as "without"."""
    found = list[str]()
    for word in words:
        pair = (found[-1].lower() if found else "", word.lower())
        if pair == ("no", "one"):
            found[-1] = "no-one"
        elif pair in (
            ("instead", "of"),
            ("rather", "than"),
            ("other", "than"),
            ("free", "of"),
            ("devoid", "of"),
        ):
            found[-1] = "without"
        else:
            found.append(word)
    return found


def _affirms(words: Sequence[str], place: int) -> bool:
    """Whether a negation excludes nothing."""
    behind = [word.lower() for word in words[place + 1 : place + 3]]
    if words[place].lower() in ("nobody", "no-one"):
        return behind[:1] == ["but"] or behind[:1] == ["except"]
    if not behind or _stops(behind[0]) or behind[0].isdigit() or behind[0] == "charge":
        return True
    before = words[place - 1].lower() if place else ""
    return before in ("why", "or", "if", "says", "saying", "reads", "reading") or any(
        word in _AFFIRMED for word in behind[: 2 if behind[0] == "a" else 1]
    )


def _said(words: Sequence[str], place: int) -> tuple[list[str], int]:
    """What the negation at a place excludes, and where what stands behind it begins."""
    if words[place].lower() in ("nobody", "no-one"):
        return ["people"], place + 1
    listed, said, at = bool(_LIST.fullmatch(words[place])), list[str](), place + 1
    while at < len(words) and words[at].lower() in _FILLERS and at + 1 < len(words):
        at += 1
    if at < len(words) and words[at].lower() == "single" and said == []:
        at += 1
    while at < len(words) and not _ends(words, at, said, listed=listed):
        if said and words[at].lower() in _PLACES and not set(map(str.lower, said)) <= _ONES:
            if skip := _of_it(words, at):
                at += skip
                continue
            if not _ACTION.fullmatch(said[-1]):
                break
        said.append(words[at])
        at += 1
    return said, at


def _ends(words: Sequence[str], at: int, said: Sequence[str], *, listed: bool) -> bool:
    """Whether what is excluded ends before a word."""
    word = words[at].lower()
    behind = words[at + 1].lower() if at + 1 < len(words) else ""
    if word == ",":
        return not _is_list(words, at)
    if word == "and":
        return not listed or behind in _ARTICLES or bool(_NOT.fullmatch(behind))
    if word in _ARTICLES and said and said[-1].lower() not in {*_ARTICLES, *_PLACES, "or", "nor", ","}:
        return not _ACTION.fullmatch(said[-1]) and said[-1].lower() not in ("of", "with", "to")
    return (
        _stops(word) or word in _ENDS or (word in ("i", "we") and behind in ("want", "need", "mean", "meant"))
    )


def _is_list(words: Sequence[str], at: int) -> bool:
    """Whether "or" follows in the same sentence before anything else is negated: "no cars, buses or people"."""
    for word in words[at + 1 : at + AHEAD]:
        if word.lower() in ("or", "nor"):
            return True
        if (
            (_stops(word) and word != ",")
            or word.lower() in {*_ENDS, *_PLACES, "and", "with"}
            or _NOT.fullmatch(word)
        ):
            return False
    return False


def _of_it(words: Sequence[str], at: int) -> int:
    """How many words say nothing but that it is about the picture: "on it", "in the picture"."""
    behind = [word.lower() for word in words[at + 1 : at + 3]]
    if behind[:1] and behind[0] in _IT:
        return 2
    return 3 if len(behind) == 2 and behind[0] in ("the", "this", "that") and behind[1] in _IT else 0


def _items(said: Sequence[str]) -> list[str]:
    """Each of the things of a list."""
    items: list[list[str]] = [[]]
    for word in said:
        if word.lower() in ("or", "nor", ","):
            items.append([])
        elif not (word.lower() == "any" and not items[-1]):
            items[-1].append(word)
    return [_text(each) for each in items if each]


def _stops(word: str) -> bool:
    return word in {".", ";", ":", "!", "?", ","}


def _text(words: Sequence[str]) -> str:
    """Words as a text, without what hangs at its ends where others were taken out."""
    kept = [*words]
    while kept and (kept[-1].lower() in _LEADS or _stops(kept[-1])):
        kept.pop()
    while kept and (kept[0].lower() in ("and", "or", "but") or _stops(kept[0])):
        kept.pop(0)
    found = list[str]()
    for word in kept:
        if not (_stops(word) and found and _stops(found[-1])):
            found.append(word)
    return re.sub(r" (?=[.,;:!?])", "", " ".join(found))
