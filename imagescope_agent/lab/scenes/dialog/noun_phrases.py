"""Noun phrases of things as people write them: colour and size before the thing or after it."""

from __future__ import annotations

from random import Random

from imagescope_agent.lab.scenes.conditions import PLURALS, Pattern
from imagescope_agent.lab.scenes.dialog import phrases
from imagescope_agent.lab.scenes.language import SIZE_WORDS, reworded, with_article


def slots(pattern: Pattern, rng: Random) -> dict[str, str]:
    """The slots {x}, {bare} and {many} of `phrases` for a pattern."""
    words = reworded(pattern, rng)
    many = " ".join(filter(None, (pattern.size, pattern.colour, PLURALS[pattern.kind or "thing"])))
    return {"x": with_article(words), "bare": words, "many": many}


def spread(pattern: Pattern, rng: Random) -> str:
    """A noun phrase whose colour and size may stand after the thing: "a house, large and red"."""
    if pattern.kind is None or pattern.colour is None:
        return with_article(reworded(pattern, rng))
    kind = reworded(Pattern(pattern.kind), rng)
    size = rng.choice(SIZE_WORDS[pattern.size]) if pattern.size else "large"
    forms = phrases.TRAILING_SIZED if pattern.size else phrases.TRAILING
    return rng.choice(forms).format(
        kind=kind,
        colour=pattern.colour,
        size=size,
        a_kind=with_article(kind),
        a_colour=with_article(pattern.colour),
        a_size=with_article(size),
    )
