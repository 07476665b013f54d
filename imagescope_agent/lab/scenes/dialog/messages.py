"""User messages of a search dialog, with the update of the dialogue state that each of them means.

A dialog is about a hidden target scene; its state is a list of steps. A message adds information about the target,
corrects or retracts a step, answers a question, or starts a new topic.
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
    Exists,
    InSetting,
    NotInSetting,
    Pattern,
    Related,
    stands,
)
from imagescope_agent.lab.scenes.language import SETTING_WORDS, join, reworded, with_article
from imagescope_agent.lab.scenes.queries import QueryStep
from imagescope_agent.lab.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, RELATIONS, SETTINGS, Scene, Thing, random_scene

MAX_FACTS = 8


@dataclass(frozen=True, kw_only=True)
class UserMessage:
    """A user message and its meaning.

    Attributes:
        message: the text.
        steps: new steps.
        drop: numbers, from 1, of the facts that no longer hold.
        answer: "Yes", "No" or "None" to the question asked.
        asked: the condition that the question was about, if one was asked.
        new: whether the message starts a new topic.
        wish: where in the message of a new topic that begins and ends which it is about.
    """

    message: str
    steps: tuple[QueryStep, ...] = ()
    drop: tuple[int, ...] = ()
    answer: str = "None"
    asked: Condition | None = None
    new: bool = False
    wish: tuple[int, int] = (0, 0)


def random_message(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage:
    """A message of a random type."""
    while True:
        message = rng.choice(_GENERATORS)(scene, facts, rng)
        if message is not None:
            return message


def accumulated_steps(scene: Scene, rng: Random) -> list[QueryStep]:
    """The dialogue state after a first query and up to six more messages, all true of the scene."""
    query = None
    while query is None:
        query = text_query(scene, rng.choice(TEXT_KINDS), rng)
    facts = list(query.steps)
    for _ in range(rng.randint(0, 6)):
        message = rng.choice(_INFORMING)(scene, facts, rng)
        if message is not None and len(facts) + len(message.steps) <= MAX_FACTS:
            facts += [step for step in message.steps if step not in facts]
    return facts


def _addition(steps: Sequence[QueryStep], facts: Sequence[QueryStep], message: str) -> UserMessage | None:
    """A message that only adds steps; None if one of them is known already."""
    new = all(step not in facts for step in steps)
    return UserMessage(message=message, steps=tuple(steps)) if new else None


def _exists(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    pattern = _random_pattern(rng.choice(scene.things), rng)
    phrase = with_article(reworded(pattern, rng))
    templates = (
        f"also {phrase}",
        f"and {phrase}",
        f"there is {phrase} too",
        f"with {phrase}",
        f"{phrase} as well",
        phrase,
    )
    return _addition([QueryStep("Addition", Exists(pattern))], facts, rng.choice(templates))


def _absent(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    pattern = Pattern(rng.choice(KINDS), rng.choice(COLOURS) if rng.random() < 0.4 else None)
    if pattern.among(scene):
        return None
    bare = reworded(pattern, rng)
    templates = (f"no {bare}", f"without {with_article(bare)}", f"there is no {bare}", f"but no {bare}")
    return _addition([QueryStep("Removal", Absent(pattern))], facts, rng.choice(templates))


def _existence_answer(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """ "is there a cat? no"."""
    pattern = Pattern(rng.choice([t.kind for t in scene.things] if rng.random() < 0.5 else KINDS),
                   rng.choice(COLOURS) if rng.random() < 0.3 else None)  # fmt: skip
    there = bool(pattern.among(scene))
    step = QueryStep("Addition", Exists(pattern)) if there else QueryStep("Removal", Absent(pattern))
    return _addition([step], facts, f"is there {pattern.words()}? {'yes' if there else 'no'}")


def _colour_answer(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """ "what colour is the house? red"."""
    kind = rng.choice(scene.things).kind
    colours = [thing.colour for thing in Pattern(kind).among(scene)]
    steps = [QueryStep("Addition", Exists(Pattern(kind, colour))) for colour in dict.fromkeys(colours)]
    question = f"what colour is the {kind}" if len(colours) == 1 else f"what colours are the {PLURALS[kind]}"
    return _addition(steps, facts, f"{question}? {join(colours)}")


def _size_answer(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """ "is the red house large or small? large"."""
    thing = rng.choice(scene.things)
    pattern = Pattern(thing.kind, thing.colour)
    if len(pattern.among(scene)) > 1:
        return None
    step = QueryStep("Addition", Exists(Pattern(thing.kind, thing.colour, thing.size)))
    return _addition([step], facts, f"is the {pattern.bare} large or small? {thing.size}")


def _setting_answer(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """ "where is it? in a meadow", "is it at night? no"."""
    if any(isinstance(step.condition, InSetting) for step in facts):
        return None
    name = scene.setting if rng.random() < 0.6 else rng.choice(SETTINGS)
    if name != scene.setting:
        return _addition(
            [QueryStep("Removal", NotInSetting(name))], facts, f"is it {SETTING_PHRASE[name]}? no"
        )
    templates = (
        f"where is it? {SETTING_PHRASE[name]}",
        f"is it {SETTING_PHRASE[name]}? yes",
        rng.choice(SETTING_WORDS[name]),
    )
    return _addition([QueryStep("Addition", InSetting(name))], facts, rng.choice(templates))


def _count_answer(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """ "how many houses are there? two"."""
    pattern = Pattern(rng.choice([None, *(t.kind for t in scene.things), rng.choice(KINDS)]))
    number = len(pattern.among(scene))
    step = QueryStep("Addition", Count(pattern, number)) if number else QueryStep("Removal", Absent(pattern))
    noun = pattern.words(2).split()[-1]
    return _addition([step], facts, f"how many {noun} are there? {NUMBERS[number]}")


def _relation_answer(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """ "what is left of the red house? a blue boat"."""
    thing, relation = rng.choice(scene.things), rng.choice(RELATIONS)
    pattern = Pattern(thing.kind, thing.colour)
    if len(pattern.among(scene)) > 1:
        return None
    found = [other for other in scene.things if other is not thing and stands(other, relation, thing)]
    others = list(dict.fromkeys(Pattern(other.kind, other.colour) for other in found))
    steps = [QueryStep("Addition", Related(other, relation, pattern)) for other in others[:3]]
    answer = join([other.words() for other in others[:3]]) or "nothing"
    return _addition(steps, facts, f"what is {relation} the {pattern.bare}? {answer}")


def _colour_correction(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """ "no, the blue one": a known thing, or the last one mentioned, in another colour."""
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
    if sum(pattern.kind == old.kind for _, pattern in known) > 1:
        return None
    colour = rng.choice([c for c in COLOURS if c != old.colour])
    kind, old_colour = reworded(Pattern(old.kind), rng), old.colour
    templates = (
        (f"no, the {colour} one", f"no, {with_article(colour)} one", f"not {old_colour}, {colour}")
        if last
        else (f"no, the {kind} is {colour}", f"make the {kind} {colour}", f"the {kind} is {colour}, not {old_colour}",
              f"no, {with_article(colour)} {kind}", f"{with_article(colour)} {kind} instead of the {old_colour} one")
    )  # fmt: skip
    step = QueryStep("Addition", Exists(Pattern(old.kind, colour, old.size)))
    return UserMessage(message=rng.choice(templates), steps=(step,), drop=(number,))


def _setting_correction(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """ "no, at night": another setting than the known one."""
    numbers = [n for n, step in enumerate(facts, 1) if isinstance(step.condition, InSetting)]
    if not numbers:
        return None
    known = [step.condition.name for step in facts if isinstance(step.condition, InSetting)]
    name = rng.choice([setting for setting in SETTINGS if setting not in known])
    place = rng.choice(SETTING_WORDS[name])
    templates = (f"no, {place}", f"make it {place}", f"it is {place}", f"{place} instead", f"rather {place}")
    return UserMessage(
        message=rng.choice(templates), steps=(QueryStep("Addition", InSetting(name)),), drop=tuple(numbers)
    )


def _retraction(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """ "the boat does not matter": a fact is dropped, none added."""
    known = [
        (n, s.condition.pattern) for n, s in enumerate(facts, 1) if isinstance(s.condition, Exists | Absent)
    ]
    known = [
        (n, pattern)
        for n, pattern in known
        if pattern.kind and sum(pattern.kind == other.kind for _, other in known) == 1
    ]
    if not known:
        return None
    number, pattern = rng.choice(known)
    name = reworded(Pattern(pattern.kind, pattern.colour if rng.random() < 0.3 else None), rng)
    templates = (
        f"the {name} does not matter",
        f"never mind the {name}",
        f"forget the {name}",
        f"I do not need the {name}",
    )
    return UserMessage(message=rng.choice(templates), drop=(number,))


def _yes_no_answer(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """ "yes" or "no" to the question asked, in part with an additional step."""
    thing = rng.choice(scene.things)
    condition: Condition = rng.choice((Exists(Pattern(thing.kind, thing.colour)), Exists(Pattern(rng.choice(KINDS))),
                                       InSetting(rng.choice(SETTINGS)), Count(Pattern(thing.kind), 1)))  # fmt: skip
    answer = rng.choice(("Yes", "No"))
    message = rng.choice((f"{answer.lower()}", f"{answer.lower()}.", answer, f"{answer.lower()} please"))
    more = _exists(scene, facts, rng) if rng.random() < 0.4 else None
    if more is not None and more.message.startswith(("also ", "and ", "with ")):
        return UserMessage(
            message=f"{message}, {more.message}", steps=more.steps, answer=answer, asked=condition
        )
    return UserMessage(message=message, answer=answer, asked=condition)


def _new_topic(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """ "forget that, a beach with a boat"."""
    query = text_query(random_scene(rng), rng.choice(TEXT_KINDS), rng)
    if query is None:
        return None
    start = rng.choice(
        ("forget that, ", "forget it all, ", "something else: ", "new search: ", "start again: ")
    )
    wish = (len(start), len(start) + len(query.text))
    return UserMessage(message=start + query.text, steps=query.steps, new=True, wish=wish)


_Generator = Callable[[Scene, Sequence[QueryStep], Random], UserMessage | None]
_INFORMING: tuple[_Generator, ...] = (
    _exists,
    _absent,
    _existence_answer,
    _colour_answer,
    _size_answer,
    _setting_answer,
    _count_answer,
    _relation_answer,
)
_GENERATORS: tuple[_Generator, ...] = (
    *_INFORMING,
    _colour_correction,
    _setting_correction,
    _retraction,
    _yes_no_answer,
    _new_topic,
)


#: Answers to a question that was asked.
ANSWERS: tuple[_Generator, ...] = (
    _colour_answer,
    _size_answer,
    _setting_answer,
    _count_answer,
    _yes_no_answer,
    _yes_no_answer,
    _yes_no_answer,
)


def _random_pattern(thing: Thing, rng: Random) -> Pattern:
    return Pattern(thing.kind, thing.colour, thing.size if rng.random() < 0.3 else None)
