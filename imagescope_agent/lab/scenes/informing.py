"""Messages that change what is wanted, in many phrasings, with the update of the dialogue state that each means."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from imagescope_agent.lab.scenes import phrases
from imagescope_agent.lab.scenes.conditions import (
    NUMBERS,
    PLURALS,
    Absent,
    Count,
    Exists,
    InSetting,
    Pattern,
    Related,
    stands,
)
from imagescope_agent.lab.scenes.language import SETTING_WORDS, join, reworded, with_article
from imagescope_agent.lab.scenes.messages import ANSWERS, UserMessage, random_message
from imagescope_agent.lab.scenes.queries import QueryStep
from imagescope_agent.lab.scenes.text_queries import RELATION_WORDS, TEXT_KINDS, text_query
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, RELATIONS, SETTINGS, Scene, random_scene

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


def _slots(pattern: Pattern, rng: Random) -> dict[str, str]:
    words = reworded(pattern, rng)
    many = " ".join(filter(None, (pattern.size, pattern.colour, PLURALS[pattern.kind or "thing"])))
    return {"x": with_article(words), "bare": words, "many": many}


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
    known = [_slots(pattern, rng) for pattern in dict.fromkeys(patterns)]
    slots = {"x": join([each["x"] for each in known])}
    return UserMessage(message=rng.choice(phrases.EXISTS).format(**slots), steps=steps)


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
    message = rng.choice(phrases.ABSENT).format(**_slots(pattern, rng))
    return UserMessage(message=message, steps=(step,), drop=tuple(meant))


def _wanted_after_all(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """What was excluded is wanted after all."""
    excluded = [(n, f.condition.pattern) for n, f in enumerate(facts, 1) if isinstance(f.condition, Absent)]
    if not excluded:
        return None
    number, pattern = rng.choice(excluded)
    message = rng.choice(phrases.EXISTS).format(**_slots(pattern, rng)) + rng.choice(
        (" after all", " after all", "")
    )
    return UserMessage(message=message, steps=(QueryStep("Addition", Exists(pattern)),), drop=(number,))


def _within(pattern: Pattern, other: Pattern) -> bool:
    return pattern.kind == other.kind and other.colour in (None, pattern.colour)


def _place(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    known = [(n, f.condition.name) for n, f in enumerate(facts, 1) if isinstance(f.condition, InSetting)]
    name = scene.setting if not known else rng.choice([s for s in SETTINGS if s not in {k for _, k in known}])
    forms = phrases.PLACE_CORRECTIONS if known else phrases.PLACES
    message = rng.choice(forms).format(place=rng.choice(SETTING_WORDS[name]))
    step = QueryStep("Addition", InSetting(name))
    return UserMessage(message=message, steps=(step,), drop=tuple(number for number, _ in known))


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
    slots = {
        **_slots(one, rng),
        "y": with_article(reworded(two, rng)),
        "side": rng.choice(RELATION_WORDS[side]),
    }
    return (
        None
        if step in facts
        else UserMessage(message=rng.choice(phrases.RELATIONS).format(**slots), steps=(step,))
    )


def _colour_correction(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    known = [
        (number, fact.condition.pattern)
        for number, fact in enumerate(facts, 1)
        if isinstance(fact.condition, Exists)
        and fact.condition.pattern.colour
        and fact.condition.pattern.kind
    ]
    if not known:
        return None
    last = rng.random() < 0.3
    number, old = known[-1] if last else rng.choice(known)
    if sum(pattern.kind == old.kind for _, pattern in known) > 1:
        return None
    colour = rng.choice([each for each in COLOURS if each != old.colour])
    forms = phrases.LAST_CORRECTIONS if last else phrases.COLOUR_CORRECTIONS
    slots = {
        "kind": reworded(Pattern(old.kind), rng),
        "colour": colour,
        "a_colour": with_article(colour),
        "old": old.colour,
    }
    step = QueryStep("Addition", Exists(Pattern(old.kind, colour, old.size)))
    return UserMessage(message=rng.choice(forms).format(**slots), steps=(step,), drop=(number,))


def _withdrawal(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    things = [
        (n, f.condition.pattern) for n, f in enumerate(facts, 1) if isinstance(f.condition, Exists | Absent)
    ]
    once = [(n, p) for n, p in things if p.kind and sum(p.kind == other.kind for _, other in things) == 1]
    places = [(n, f.condition.name) for n, f in enumerate(facts, 1) if isinstance(f.condition, InSetting)]
    if places and rng.random() < 0.2:
        number, name = rng.choice(places)[0], rng.choice(("place", "setting", "background", "surroundings"))
    elif once:
        number, pattern = rng.choice(once)
        name = reworded(Pattern(pattern.kind, pattern.colour if rng.random() < 0.3 else None), rng)
    else:
        return None
    return UserMessage(message=rng.choice(phrases.WITHDRAWALS).format(name=name), drop=(number,))


def _new_topic(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    query = text_query(random_scene(rng), rng.choice(TEXT_KINDS), rng)
    if query is None or rng.random() < 0.5:
        return None
    words = rng.choice(phrases.RESTARTS)
    return UserMessage(
        message=f"{words}{rng.choice((', ', ': ', '. '))}{query.text}", steps=query.steps, new=True
    )


_Generator = Callable[[Scene, Sequence[QueryStep], Random], UserMessage | None]
_GENERATORS: tuple[_Generator, ...] = (
    _exists,
    _exists,
    _absent,
    _absent,
    _wanted_after_all,
    _place,
    _place,
    _count,
    _relation,
    _colour_correction,
    _colour_correction,
    _withdrawal,
    _withdrawal,
    _new_topic,
)
