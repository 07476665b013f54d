"""What people say in a conversation about a picture they look for, and what it does to what was said before.

A conversation is about a hidden scene and stands as a list of steps. A message says something more about the scene,
takes something back, answers a question or turns to another scene.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from imagescope_agent.lab.scenes.conditions import (
    NUMBERS,
    PLURALS,
    SETTING_PHRASE,
    Absent,
    Condition,
    Count,
    Elsewhere,
    Exists,
    Pattern,
    Related,
    Setting,
    stands,
)
from imagescope_agent.lab.scenes.edits import Step
from imagescope_agent.lab.scenes.language import SETTING_WORDS, join, reworded, with_article
from imagescope_agent.lab.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, RELATIONS, SETTINGS, Scene, Thing, random_scene

MOST_FACTS = 8


@dataclass(frozen=True, kw_only=True)
class Said:
    """A message and what it does: answer to the question asked, facts it overrules (their numbers), new steps."""

    message: str
    steps: tuple[Step, ...] = ()
    drop: tuple[int, ...] = ()
    answer: str = "None"
    asked: Condition | None = None
    new: bool = False


def say(scene: Scene, facts: Sequence[Step], rng: Random) -> Said:
    """A message of any sort."""
    while True:
        said = rng.choice(_MESSAGES)(scene, facts, rng)
        if said is not None:
            return said


def standing(scene: Scene, rng: Random) -> list[Step]:
    """What was said about a scene so far: a first request and up to six more messages."""
    query = None
    while query is None:
        query = text_query(scene, rng.choice(TEXT_KINDS), rng)
    facts = list(query.steps)
    for _ in range(rng.randint(0, 6)):
        said = rng.choice(_TRUE)(scene, facts, rng)
        if said is not None and len(facts) + len(said.steps) <= MOST_FACTS:
            facts += [step for step in said.steps if step not in facts]
    return facts


def _more(steps: Sequence[Step], facts: Sequence[Step], message: str) -> Said | None:
    """A message that only adds; None when it says nothing new."""
    return Said(message=message, steps=tuple(steps)) if all(step not in facts for step in steps) else None


def _also(scene: Scene, facts: Sequence[Step], rng: Random) -> Said | None:
    look = _look(rng.choice(scene.things), rng)
    phrase = with_article(reworded(look, rng))
    shapes = (
        f"also {phrase}",
        f"and {phrase}",
        f"there is {phrase} too",
        f"with {phrase}",
        f"{phrase} as well",
        phrase,
    )
    return _more([Step("Addition", Exists(look))], facts, rng.choice(shapes))


def _never(scene: Scene, facts: Sequence[Step], rng: Random) -> Said | None:
    look = Pattern(rng.choice(KINDS), rng.choice(COLOURS) if rng.random() < 0.4 else None)
    if look.among(scene):
        return None
    bare = reworded(look, rng)
    shapes = (f"no {bare}", f"without {with_article(bare)}", f"there is no {bare}", f"but no {bare}")
    return _more([Step("Removal", Absent(look))], facts, rng.choice(shapes))


def _there(scene: Scene, facts: Sequence[Step], rng: Random) -> Said | None:
    """ "is there a cat? no"."""
    look = Pattern(rng.choice([t.kind for t in scene.things] if rng.random() < 0.5 else KINDS),
                   rng.choice(COLOURS) if rng.random() < 0.3 else None)  # fmt: skip
    there = bool(look.among(scene))
    step = Step("Addition", Exists(look)) if there else Step("Removal", Absent(look))
    return _more([step], facts, f"is there {look.words()}? {'yes' if there else 'no'}")


def _colours(scene: Scene, facts: Sequence[Step], rng: Random) -> Said | None:
    """ "what colour is the house? red"."""
    kind = rng.choice(scene.things).kind
    colours = [thing.colour for thing in Pattern(kind).among(scene)]
    steps = [Step("Addition", Exists(Pattern(kind, colour))) for colour in dict.fromkeys(colours)]
    question = f"what colour is the {kind}" if len(colours) == 1 else f"what colours are the {PLURALS[kind]}"
    return _more(steps, facts, f"{question}? {join(colours)}")


def _sizes(scene: Scene, facts: Sequence[Step], rng: Random) -> Said | None:
    """ "is the red house large or small? large"."""
    thing = rng.choice(scene.things)
    look = Pattern(thing.kind, thing.colour)
    if len(look.among(scene)) > 1:
        return None
    step = Step("Addition", Exists(Pattern(thing.kind, thing.colour, thing.size)))
    return _more([step], facts, f"is the {look.bare} large or small? {thing.size}")


def _where(scene: Scene, facts: Sequence[Step], rng: Random) -> Said | None:
    """ "where is it? in a meadow", "is it at night? no"."""
    if any(isinstance(step.condition, Setting) for step in facts):
        return None
    name = scene.setting if rng.random() < 0.6 else rng.choice(SETTINGS)
    if name != scene.setting:
        return _more([Step("Removal", Elsewhere(name))], facts, f"is it {SETTING_PHRASE[name]}? no")
    shapes = (
        f"where is it? {SETTING_PHRASE[name]}",
        f"is it {SETTING_PHRASE[name]}? yes",
        rng.choice(SETTING_WORDS[name]),
    )
    return _more([Step("Addition", Setting(name))], facts, rng.choice(shapes))


def _many(scene: Scene, facts: Sequence[Step], rng: Random) -> Said | None:
    """ "how many houses are there? two"."""
    pattern = Pattern(rng.choice([None, *(t.kind for t in scene.things), rng.choice(KINDS)]))
    number = len(pattern.among(scene))
    step = Step("Addition", Count(pattern, number)) if number else Step("Removal", Absent(pattern))
    noun = pattern.words(2).split()[-1]
    return _more([step], facts, f"how many {noun} are there? {NUMBERS[number]}")


def _beside(scene: Scene, facts: Sequence[Step], rng: Random) -> Said | None:
    """ "what is left of the red house? a blue boat"."""
    thing, relation = rng.choice(scene.things), rng.choice(RELATIONS)
    look = Pattern(thing.kind, thing.colour)
    if len(look.among(scene)) > 1:
        return None
    found = [other for other in scene.things if other is not thing and stands(other, relation, thing)]
    others = list(dict.fromkeys(Pattern(other.kind, other.colour) for other in found))
    steps = [Step("Addition", Related(other, relation, look)) for other in others[:3]]
    answer = join([other.words() for other in others[:3]]) or "nothing"
    return _more(steps, facts, f"what is {relation} the {look.bare}? {answer}")


def _recoloured(scene: Scene, facts: Sequence[Step], rng: Random) -> Said | None:
    """ "no, the blue one": the named thing, or the one named last, in another colour."""
    known = [
        (number, step.condition.pattern)
        for number, step in enumerate(facts, 1)
        if isinstance(step.condition, Exists)
        and step.condition.pattern.colour
        and step.condition.pattern.kind
    ]
    if not known:
        return None
    last = rng.random() < 0.4
    number, old = known[-1] if last else rng.choice(known)
    if sum(look.kind == old.kind for _, look in known) > 1:
        return None
    colour = rng.choice([c for c in COLOURS if c != old.colour])
    kind, was = reworded(Pattern(old.kind), rng), old.colour
    shapes = (
        (f"no, the {colour} one", f"no, {with_article(colour)} one", f"not {was}, {colour}")
        if last
        else (f"no, the {kind} is {colour}", f"make the {kind} {colour}", f"the {kind} is {colour}, not {was}",
              f"no, {with_article(colour)} {kind}", f"{with_article(colour)} {kind} instead of the {was} one")
    )  # fmt: skip
    step = Step("Addition", Exists(Pattern(old.kind, colour, old.size)))
    return Said(message=rng.choice(shapes), steps=(step,), drop=(number,))


def _elsewhere(scene: Scene, facts: Sequence[Step], rng: Random) -> Said | None:
    """ "no, at night": another setting than was said."""
    numbers = [n for n, step in enumerate(facts, 1) if isinstance(step.condition, Setting)]
    if not numbers:
        return None
    said = [step.condition.name for step in facts if isinstance(step.condition, Setting)]
    name = rng.choice([setting for setting in SETTINGS if setting not in said])
    place = rng.choice(SETTING_WORDS[name])
    shapes = (f"no, {place}", f"make it {place}", f"it is {place}", f"{place} instead", f"rather {place}")
    return Said(message=rng.choice(shapes), steps=(Step("Addition", Setting(name)),), drop=tuple(numbers))


def _taken_back(scene: Scene, facts: Sequence[Step], rng: Random) -> Said | None:
    """ "the boat does not matter": a fact goes, nothing comes."""
    known = [
        (n, s.condition.pattern) for n, s in enumerate(facts, 1) if isinstance(s.condition, Exists | Absent)
    ]
    known = [
        (n, look)
        for n, look in known
        if look.kind and sum(look.kind == other.kind for _, other in known) == 1
    ]
    if not known:
        return None
    number, look = rng.choice(known)
    name = reworded(Pattern(look.kind, look.colour if rng.random() < 0.3 else None), rng)
    shapes = (
        f"the {name} does not matter",
        f"never mind the {name}",
        f"forget the {name}",
        f"I do not need the {name}",
    )
    return Said(message=rng.choice(shapes), drop=(number,))


def _answered(scene: Scene, facts: Sequence[Step], rng: Random) -> Said | None:
    """ "yes" or "no" to the question that was asked, perhaps with more."""
    thing = rng.choice(scene.things)
    condition: Condition = rng.choice((Exists(Pattern(thing.kind, thing.colour)), Exists(Pattern(rng.choice(KINDS))),
                                       Setting(rng.choice(SETTINGS)), Count(Pattern(thing.kind), 1)))  # fmt: skip
    answer = rng.choice(("Yes", "No"))
    message = rng.choice((f"{answer.lower()}", f"{answer.lower()}.", answer, f"{answer.lower()} please"))
    more = _also(scene, facts, rng) if rng.random() < 0.4 else None
    if more is not None and more.message.startswith(("also ", "and ", "with ")):
        return Said(message=f"{message}, {more.message}", steps=more.steps, answer=answer, asked=condition)
    return Said(message=message, answer=answer, asked=condition)


def _other_topic(scene: Scene, facts: Sequence[Step], rng: Random) -> Said | None:
    """ "forget that, a beach with a boat"."""
    query = text_query(random_scene(rng), rng.choice(TEXT_KINDS), rng)
    if query is None:
        return None
    start = rng.choice(
        ("forget that, ", "forget it all, ", "something else: ", "new search: ", "start again: ")
    )
    return Said(message=start + query.text, steps=query.steps, new=True)


_Message = Callable[[Scene, Sequence[Step], Random], Said | None]
_TRUE: tuple[_Message, ...] = (_also, _never, _there, _colours, _sizes, _where, _many, _beside)
_MESSAGES: tuple[_Message, ...] = (*_TRUE, _recoloured, _elsewhere, _taken_back, _answered, _other_topic)


def _look(thing: Thing, rng: Random) -> Pattern:
    return Pattern(thing.kind, thing.colour, thing.size if rng.random() < 0.3 else None)
