"""The numbers beside a number: who says that there are exactly two, and exactly three, does not know how many."""

from __future__ import annotations

import re
from collections.abc import Mapping

from imagescope_agent.nodes.chat.language.counts import plural
from imagescope_agent.nodes.chat.language.grounding import NUMBERS
from imagescope_agent.nodes.chat.language.places import PREPOSITION

_AFTER = "|".join([*PREPOSITION, "of", "with", "that", "who"])  # what ends the name of a thing
_EXACTLY = re.compile(
    rf"(?:is|are) there exactly ({'|'.join(NUMBERS[1:])}) ((?:(?!(?:{_AFTER})\b)[\w'-]+ ?)+)(.*)\?", re.I
)
_SINGULAR = ((r"ies$", "y"), (r"(?<=s|x|z|h)es$", ""), (r"(?<!s)s$", ""))


def rivals(question: str) -> list[str]:
    """The questions for one less and one more: of "Are there exactly two red cars?" for one and for three.

    Nothing for a question about anything else; "none" is no rival of one, since whoever sees none says No.
    """
    found = _EXACTLY.fullmatch(" ".join(question.split()))
    if not found:
        return []
    number, things, rest = NUMBERS.index(found[1].lower()), found[2].split(), found[3]
    others = [other for other in (number - 1, number + 1) if 0 < other < len(NUMBERS)]
    return [
        " ".join(filter(None, [*_asks(other), *things[:-1], as_many(things[-1], other), rest])) + "?"
        for other in others
    ]


def _asks(number: int) -> tuple[str, ...]:
    return "Is" if number == 1 else "Are", "there", "exactly", NUMBERS[number]


def rivalled(yes: float, question: str, answers: Mapping[str, float]) -> float:
    """P(Yes) of a question about a number among those about its rivals that are answered.

    Args:
        yes: P(Yes) of the question alone.
        question: about a number.
        answers: P(Yes) by question.
    """
    return yes / max(1.0, yes + sum(answers.get(each, 0.0) for each in rivals(question)))


def as_many(thing: str, number: int) -> str:
    """A word that ends a number of things, for another number of them."""
    if number > 1:
        return plural(thing)
    return next((one for ending, new in _SINGULAR if (one := re.sub(ending, new, thing)) != thing), thing)
