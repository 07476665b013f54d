"""Which of two things is on the left, as a message says it: "a cat with a boat to its left", "right of it, a boat"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from imagescope_agent.nodes.chat.language.coverage import runs
from imagescope_agent.nodes.chat.language.polarity import is_negated
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.replies.parsing import StepAnswer

_IT = r"(?:it|that|this|them|these|those|him|her|which|whom|whose)"
_SIDE = re.compile(
    rf"\b(?P<its>its|their|his|her|whose)\s+(?:\w+\s+)?(?P<own>left|right)\b"
    rf"|\b(?P<of>left|right)(?:[-\s]+(?:hand|side|edge))*\s+(?:of|from|than)\s+(?P<it>{_IT}\b)?"
    r"|\b(?:(?:on|to|at|in)\s+the(?:\s+(?:far|very))?|far)\s+(?P<on>left|right)\b"
    r"(?!(?:[-\s]+(?:hand|side|edge))*\s+(?:of|from|than)\b)"
    r"|\b(?P<bare>left|right)(?=\s*(?:[:,;.!?]|$))"
)
_ORDER = re.compile(r"\b(left|right) to (?:the )?(left|right)\b")
_DENIES = re.compile(r"\b(?:not?|never|neither|nor|without)\b|n['’]t\b")


class _Thing(NamedTuple):
    text: str
    start: int
    end: int


def sides(message: str, vocabulary: Vocabulary) -> tuple[str, str] | None:
    """The things on the left and on the right, as phrases; None where a message names not just two, or does not say it.

    Args:
        message: in English.
        vocabulary: of the collection.
    """
    told = message.lower()
    things = _things(told, vocabulary)
    if len(things) != 2 or _DENIES.search(told):
        return None
    first, second = things
    if order := _ORDER.search(told):
        return _on(order[1], first, second)
    found = list(_SIDE.finditer(told))
    if len(found) == 2 and {each["on"] or each["bare"] for each in found} == {"left", "right"}:
        return _each_on_its_own(found, things)
    related, alone = (
        [each for each in found if not each["bare"] and not each["on"]],
        [each for each in found if each["on"]],
    )
    own = _each_on_its_own(alone, things) if len(alone) == 1 else None
    if len(related) != 1:
        return own if not related else None
    told_by = _of_the_other(told, related[0], things)
    return (
        told_by if own in (None, told_by) else None
    )  # where two sides contradict each other, nothing is told


def with_side(steps: Sequence[StepAnswer], query: str, vocabulary: Vocabulary) -> list[StepAnswer]:
    """The instructions, one of which says which of two things is on the left, where the query does."""
    said = sides(query, vocabulary)
    if said is None:
        return [*steps]
    wanted, names = f"{said[0]} left of {said[1]}", [content_words(text) for text in said]
    about = [step for step in steps if all(each <= content_words(step.text) for each in names)]
    read = [sides(step.text, vocabulary) for step in about]
    if about and all(each is not None and [content_words(text) for text in each] == names for each in read):
        return [*steps]
    whole = content_words(wanted)
    others = [step for step in steps if step.type == "Removal" or not content_words(step.text) <= whole]
    return [*others, StepAnswer(type="Addition", text=wanted)]


def _things(told: str, vocabulary: Vocabulary) -> list[_Thing]:
    """The things of a message where they are named, in order; a place is none."""
    things = list[_Thing]()
    for phrase in runs(told, vocabulary):
        words = " ".join([*phrase.properties, phrase.head]).strip()
        start = told.find(words, things[-1].end if things else 0)
        if phrase.head and not phrase.place and start >= 0 and not is_negated(phrase.text, told):
            things.append(_Thing(phrase.text, start, start + len(words)))
    return things


def _of_the_other(told: str, side: re.Match[str], things: Sequence[_Thing]) -> tuple[str, str] | None:
    """Where a side is said of one thing beside the other: "its left" of the thing that was named first, "left of"."""
    first, second = things
    if side["own"] or side["it"]:
        return _on(side["own"] or side["of"], second, first) if side.start() > first.end else None
    behind = next((each for each in things if each.start >= side.end()), None)
    if behind is None or len(told[side.end() : behind.start].split()) > 2:
        return None
    return _on(side["of"], second if behind is first else first, behind)


def _each_on_its_own(found: Sequence[re.Match[str]], things: Sequence[_Thing]) -> tuple[str, str] | None:
    """Where a side is said of a thing itself: of that which is nearer."""
    first, second = things
    for side in found:
        near = [min(abs(side.start() - each.end), abs(each.start - side.end())) for each in things]
        if near[0] != near[1]:
            one, other = (first, second) if near[0] < near[1] else (second, first)
            return _on(side["on"] or side["bare"], one, other)
    return None


def _on(side: str, one: _Thing, other: _Thing) -> tuple[str, str]:
    """The thing that is on that side of the other, and the other, the left one first."""
    return (one.text, other.text) if side == "left" else (other.text, one.text)
