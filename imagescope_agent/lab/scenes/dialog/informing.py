"""Messages that change what is wanted, in many phrasings, with the update of the dialogue state that each means."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from imagescope_agent.lab.scenes.conditions import (
    NUMBERS,
    Absent,
    Count,
    Exists,
    InSetting,
    Pattern,
    Related,
    stands,
)
from imagescope_agent.lab.scenes.dialog import phrases, revising
from imagescope_agent.lab.scenes.dialog.messages import ANSWERS, UserMessage, random_message
from imagescope_agent.lab.scenes.dialog.noun_phrases import slots, spread
from imagescope_agent.lab.scenes.language import join, reworded, with_article
from imagescope_agent.lab.scenes.queries import QueryStep
from imagescope_agent.lab.scenes.text_queries import RELATION_WORDS
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, RELATIONS, Scene

_OPEN_QUESTION = re.compile(r"((?:what colours? .*|where is it|how many .*|is the .* large or small)\?) (.*)")


def saying(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> tuple[UserMessage, str]:
    """A message that changes what is wanted, and the question that it answers, "" for none."""
    while True:
        kind = rng.random()
        if kind < 0.3:
            update = random_message(scene, facts, rng)
        elif kind < 0.5:
            if (answer := rng.choice(ANSWERS)(scene, facts, rng)) is None:
                continue
            update = answer
        else:
            found = rng.choice(_GENERATORS)(scene, facts, rng)
            if found is None:
                continue
            update = found
        if match := _OPEN_QUESTION.fullmatch(update.message):
            if rng.random() < 0.7 and match[2] != "nothing":
                words = rng.choice(phrases.HEDGED_ANSWERS).format(v=match[2])
                asked = match[1][:1].upper() + match[1][1:]
                if asked == "Where is it?":
                    asked = rng.choice((asked, "Where is the scene?"))
                return replace(update, message=words), asked
            return update, ""
        if update.asked is None:
            return update, ""
        if rng.random() < 0.6 and not update.steps:
            said = phrases.YES if update.answer == "Yes" else phrases.NO
            update = replace(update, message=rng.choice(said))
        return update, _asked(update)


def act_of(update: UserMessage, asked: str) -> str:
    """The dialogue act of an informing message."""
    if asked:
        return "answer"
    if update.drop and not update.steps:
        return "withdrawal"
    return "correction" if update.drop else "wish"


def _asked(update: UserMessage) -> str:
    condition = update.asked
    assert condition is not None
    words = condition.words()
    if isinstance(condition, InSetting):
        return f"Is the picture you are looking for {words.removeprefix('the scene ')}?"
    return f"Does the picture you are looking for show {words}?"


def _exists(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    patterns = []
    for thing in rng.sample(scene.things, min(len(scene.things), rng.choice((1, 1, 1, 2)))):
        colour, size = (
            rng.choice((thing.colour, thing.colour, None)),
            rng.choice((thing.size, None, None, None)),
        )
        patterns.append(Pattern(thing.kind, colour, size))
    steps = tuple(QueryStep("Addition", Exists(pattern)) for pattern in dict.fromkeys(patterns))
    if any(step in facts for step in steps):
        return None
    forms = phrases.EXISTS if len(steps) == 1 else [each for each in phrases.EXISTS if "{bare}" not in each]
    known = [slots(pattern, rng) for pattern in dict.fromkeys(patterns)]
    if rng.random() < 0.35:
        known = [{**each, "x": spread(pattern, rng)} for each, pattern in zip(known, patterns, strict=False)]
    filled = {**known[0], "x": join([each["x"] for each in known])}
    return UserMessage(message=rng.choice(forms).format(**filled), steps=steps)


def _absent(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    pattern = Pattern(rng.choice(KINDS), rng.choice(COLOURS) if rng.random() < 0.3 else None)
    step = QueryStep("Removal", Absent(pattern))
    meant = [
        number
        for number, fact in enumerate(facts, 1)
        if isinstance(fact.condition, Exists) and _within(fact.condition.pattern, pattern)
    ]
    if step in facts or (not meant and pattern.among(scene)):
        return None
    message = rng.choice(phrases.ABSENT).format(**slots(pattern, rng))
    return UserMessage(message=message, steps=(step,), drop=tuple(meant))


def _count(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    pattern = Pattern(rng.choice([None, *(thing.kind for thing in scene.things)]))
    number = len(pattern.among(scene))
    step = QueryStep("Addition", Count(pattern, number))
    if any(isinstance(f.condition, Count) and f.condition.pattern == pattern for f in facts):
        return None
    words = f"{NUMBERS[number]} {pattern.kind or 'thing'}" if number == 1 else pattern.words(number)
    if number == 1:
        words = f"exactly {words}"
    return UserMessage(
        message=rng.choice(phrases.COUNTS).format(n=words).replace("exactly exactly", "exactly"),
        steps=(step,),
    )


def _relation(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    first, side = rng.choice(scene.things), rng.choice(RELATIONS)
    others = [thing for thing in scene.things if thing is not first and stands(first, side, thing)]
    if not others:
        return None
    other = rng.choice(others)
    one, two = Pattern(first.kind, first.colour), Pattern(other.kind, other.colour)
    step = QueryStep("Addition", Related(one, side, two))
    if step in facts:
        return None
    sides = {"y": with_article(reworded(two, rng)), "side": rng.choice(RELATION_WORDS[side])}
    message = rng.choice(phrases.RELATIONS).format(**slots(one, rng), **sides)
    return UserMessage(message=message, steps=(step,))


def _within(pattern: Pattern, other: Pattern) -> bool:
    return pattern.kind == other.kind and other.colour in (None, pattern.colour)


def _both(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """Two additions, or one with an exclusion, in one message."""
    found = [rng.choice(pair)(scene, facts, rng) for pair in ((_exists, revising.place), (_absent, _exists))]
    said = [update for update in found if update is not None and not update.drop]
    if len(said) < 2 or any(step in said[0].steps for step in said[1].steps):
        return None
    first, second = said
    message = (
        first.message.rstrip("?") + rng.choice((", ", ", and ", " and ", ", but ", "; ")) + second.message
    )
    return UserMessage(message=message, steps=(*first.steps, *second.steps))


_Generator = Callable[[Scene, Sequence[QueryStep], Random], UserMessage | None]
_WEIGHTED: tuple[tuple[_Generator, int], ...] = (
    (_exists, 6),
    (_absent, 4),
    (_both, 2),
    (_count, 1),
    (_relation, 2),
    (revising.wanted_after_all, 1),
    (revising.place, 3),
    (revising.refinement, 2),
    (revising.colour_correction, 4),
    (revising.count_correction, 3),
    (revising.withdrawal, 4),
    (revising.new_topic, 3),
)
_GENERATORS = [generator for generator, weight in _WEIGHTED for _ in range(weight)]
