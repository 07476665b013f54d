"""The numbers beside a number: who says that there are exactly two, and exactly three, does not know how many."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from imagescope_agent.nodes.chat.language.counts import plural
from imagescope_agent.nodes.chat.language.grounding import NUMBERS
from imagescope_agent.nodes.chat.language.places import PREPOSITION

_AFTER = frozenset([*PREPOSITION, "of", "with", "that", "who"])  # what ends the name of a thing
_EXACTLY = re.compile(rf"(?:is|are) there exactly ({'|'.join(NUMBERS[1:])}) ([\w' -]+)\?", re.I)
_IRREGULAR = frozenset(
    "people men women children feet teeth mice geese person man woman child foot tooth mouse goose bus".split()  # noqa: SIM905
)
_SINGULAR = (
    (r"(?<=[^aeiou])ies$", "y"),
    (r"(?<=ss)es$|(?<=sh)es$|(?<=ch)es$|(?<=x)es$", ""),
    (r"(?<!s)s$", ""),
)


@lru_cache(maxsize=256)  # asked for every candidate
def rivals(question: str) -> tuple[str, ...]:
    """The questions for one less and one more: of "Are there exactly two red cars?" for one and for three.

    Nothing for a question about anything else, or with words whose other number is not regular; "none" is no rival of
    one, since whoever sees none says No.
    """
    found = _EXACTLY.fullmatch(" ".join(question.split()))
    if not found:
        return ()
    number, words = NUMBERS.index(found[1].lower()), found[2].split()
    end = next((place for place, word in enumerate(words) if word in _AFTER), len(words))
    if end == 0 or words[end - 1] in _IRREGULAR or {"and", "or"} & {*words}:
        return ()
    return tuple(
        f"{'Is' if other == 1 else 'Are'} there exactly "
        f"{' '.join([NUMBERS[other], *words[: end - 1], as_many(words[end - 1], other), *words[end:]])}?"
        for other in (number - 1, number + 1)
        if 0 < other < len(NUMBERS)
    )


def rivalled(yes: float, question: str, answers: Mapping[str, float]) -> float:
    """P(Yes) of a question about a number among those about its rivals that are answered.

    Args:
        yes: P(Yes) of the question alone.
        question: about a number.
        answers: P(Yes) by question.
    """
    return yes / max(1.0, yes + sum(answers.get(each, 0.0) for each in rivals(question)))


def as_many(thing: str, number: int) -> str:
    """A word that ends a number of things, for another number of them; of regular words."""
    if number > 1:
        return plural(thing)
    return next((one for ending, new in _SINGULAR if (one := re.sub(ending, new, thing)) != thing), thing)
