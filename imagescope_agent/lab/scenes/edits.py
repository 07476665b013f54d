"""Edits of a reference scene for composed queries: the instruction, its steps, and the edited scene.

Every edit is a function `(state, rng) -> Edit | None`; None where the scene has nothing to change that way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from imagescope_agent.lab.scenes.conditions import Absent, Count, Exists, InSetting, Pattern, full_pattern
from imagescope_agent.lab.scenes.language import SETTING_WORDS, reworded, with_article
from imagescope_agent.lab.scenes.queries import QueryStep
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, MAX_THINGS, SETTINGS, Thing


@dataclass(frozen=True, kw_only=True)
class EditState:
    """Things and setting after some edits; `free` marks the things that no edit has touched."""

    things: tuple[Thing, ...]
    free: tuple[bool, ...]
    setting: str


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One edit: its wording as an order and as a description, its steps, the state after it, and what it names.

    `frame` and `slots` are for other wordings: the kind of frame in `wordings/frames.toml`, and what fills it.
    """

    order: str
    description: str
    steps: tuple[QueryStep, ...]
    after: EditState
    named: tuple[Pattern, ...]  # what the target must show, with the details that the text gives
    frame: str
    slots: dict[str, str] = field(default_factory=dict)


def _kind_and_colour(thing: Thing) -> Pattern:
    return Pattern(thing.kind, thing.colour)


def _unique_thing(state: EditState, rng: Random) -> int | None:
    """Index of a random untouched thing whose kind and colour no other thing shares; None if there is none."""
    candidates = [
        i
        for i, thing in enumerate(state.things)
        if state.free[i] and sum(_kind_and_colour(thing).matches(other) for other in state.things) == 1
    ]
    return rng.choice(candidates) if candidates else None


def referring_pattern(state: EditState, index: int, rng: Random) -> Pattern:
    """The pattern that refers to a thing: kind and colour; half of the time without colour if the kind is unique."""
    thing = state.things[index]
    unique_kind = sum(other.kind == thing.kind for other in state.things) == 1
    return Pattern(thing.kind, None if unique_kind and rng.random() < 0.5 else thing.colour)


def _new_thing(state: EditState, rng: Random) -> Thing:
    while True:
        thing = Thing(kind=rng.choice(KINDS), colour=rng.choice(COLOURS), size=rng.choice(("small", "large")))
        if not any(_kind_and_colour(thing).matches(other) for other in state.things):
            return thing


def _replaced(state: EditState, index: int, thing: Thing) -> EditState:
    things = tuple(thing if i == index else other for i, other in enumerate(state.things))
    return replace(state, things=things, free=_mark_touched(state.free, index))


def _mark_touched(free: tuple[bool, ...], index: int) -> tuple[bool, ...]:
    return tuple(flag and i != index for i, flag in enumerate(free))


def _mentioned(thing: Thing, rng: Random) -> Pattern:
    return Pattern(thing.kind, thing.colour, thing.size if rng.random() < 0.4 else None)


def add(state: EditState, rng: Random) -> Edit | None:
    """ "add a small red star"."""
    if len(state.things) >= MAX_THINGS - 1:
        return None
    thing = _new_thing(state, rng)
    mentioned = _mentioned(thing, rng)
    phrase = with_article(reworded(mentioned, rng))
    after = replace(state, things=(*state.things, thing), free=(*state.free, False))
    return Edit(
        order=rng.choice((f"add {phrase}", f"put {phrase} in", f"include {phrase}")),
        description=rng.choice((f"with {phrase}", f"with {phrase} too", f"plus {phrase}")),
        steps=(QueryStep("Addition", Exists(mentioned)),),
        after=after,
        named=(mentioned,),
        frame="add",
        slots={"a": phrase},
    )


def remove(state: EditState, rng: Random) -> Edit | None:
    """ "without the boat"."""
    index = _unique_thing(state, rng)
    if index is None or len(state.things) < 2:
        return None
    referred = referring_pattern(state, index, rng)
    phrase = reworded(referred, rng)
    kept = [i for i in range(len(state.things)) if i != index]
    after = replace(
        state, things=tuple(state.things[i] for i in kept), free=tuple(state.free[i] for i in kept)
    )
    return Edit(
        order=rng.choice((f"remove the {phrase}", f"take away the {phrase}", f"take the {phrase} out")),
        description=rng.choice((f"without the {phrase}", f"with no {phrase}", f"minus the {phrase}")),
        steps=(QueryStep("Removal", Absent(referred)),),
        after=after,
        named=(),
        frame="remove",
        slots={"x": phrase},
    )


def recolour(state: EditState, rng: Random) -> Edit | None:
    """ "make the house green"."""
    index = _unique_thing(state, rng)
    if index is None:
        return None
    old = state.things[index]
    new = replace(old, colour=rng.choice([c for c in COLOURS if c != old.colour]))
    if any(_kind_and_colour(new).matches(other) for other in state.things):
        return None
    phrase = reworded(referring_pattern(state, index, rng), rng)
    return Edit(
        order=rng.choice((f"make the {phrase} {new.colour}", f"paint the {phrase} {new.colour}")),
        description=rng.choice((f"the {phrase} is {new.colour}", f"the {phrase} should be {new.colour}")),
        steps=(
            QueryStep("Modification", Exists(_kind_and_colour(new))),
            QueryStep("Removal", Absent(_kind_and_colour(old))),
        ),
        after=_replaced(state, index, new),
        named=(full_pattern(new),),
        frame="recolour",
        slots={"x": phrase, "c": new.colour},
    )


def swap(state: EditState, rng: Random) -> Edit | None:
    """ "replace the boat with a yellow cat"."""
    index = _unique_thing(state, rng)
    if index is None:
        return None
    referred = referring_pattern(state, index, rng)
    new = _new_thing(state, rng)
    if referred.matches(new):
        return None
    mentioned = _mentioned(new, rng)
    phrase, old = with_article(reworded(mentioned, rng)), reworded(referred, rng)
    return Edit(
        order=rng.choice((f"replace the {old} with {phrase}", f"swap the {old} for {phrase}")),
        description=rng.choice((f"with {phrase} instead of the {old}", f"{phrase} in place of the {old}")),
        steps=(QueryStep("Modification", Exists(mentioned)), QueryStep("Removal", Absent(referred))),
        after=_replaced(state, index, new),
        named=(mentioned,),
        frame="swap",
        slots={"x": old, "a": phrase},
    )


def move(state: EditState, rng: Random) -> Edit | None:
    """ "the same at night"."""
    setting = rng.choice([name for name in SETTINGS if name != state.setting])
    place = rng.choice(SETTING_WORDS[setting])
    return Edit(
        order=rng.choice((f"show it {place}", f"put it {place}", f"make it {place}")),
        description=place,
        steps=(QueryStep("Modification", InSetting(setting)),),
        after=replace(state, setting=setting),
        named=(),
        frame="move",
        slots={"p": place},
    )


def resize(state: EditState, rng: Random) -> Edit | None:
    """ "a bigger house"."""
    index = _unique_thing(state, rng)
    if index is None:
        return None
    old = state.things[index]
    new = replace(old, size="small" if old.size == "large" else "large")
    word = rng.choice(("bigger", "larger") if new.size == "large" else ("smaller", "tinier"))
    phrase = reworded(referring_pattern(state, index, rng), rng)
    mentioned = Pattern(new.kind, new.colour, new.size)
    return Edit(
        order=f"make the {phrase} {word}",
        description=rng.choice((f"the {phrase} is {word}", f"with a {word} {phrase}")),
        steps=(QueryStep("Comparison", Exists(mentioned)),),
        after=_replaced(state, index, new),
        named=(mentioned,),
        frame="resize",
        slots={"x": phrase, "w": word},
    )


def count(state: EditState, rng: Random) -> Edit | None:
    """ "one more red star"."""
    candidates = [
        i
        for i, thing in enumerate(state.things)
        if all(state.free[j] for j, t in enumerate(state.things) if _kind_and_colour(thing).matches(t))
    ]
    if not candidates:
        return None
    index = rng.choice(candidates)
    pattern = _kind_and_colour(state.things[index])
    number = sum(pattern.matches(t) for t in state.things)
    if number >= 2 and rng.random() < 0.5:
        word, now = rng.choice(("fewer", "less")), number - 1
        things = tuple(t for i, t in enumerate(state.things) if i != index)
        order, description = f"take away one {pattern.bare}", f"with one {pattern.bare} {word}"
    elif len(state.things) < MAX_THINGS - 1:
        now, things = number + 1, (*state.things, state.things[index])
        order, description = f"add one more {pattern.bare}", f"with one more {pattern.bare}"
    else:
        return None
    flags = {id(t): flag and not pattern.matches(t) for t, flag in zip(state.things, state.free, strict=True)}
    return Edit(
        order=order,
        description=description,
        steps=(QueryStep("Comparison", Count(pattern, now)),),
        after=replace(state, things=things, free=tuple(flags[id(t)] for t in things)),
        named=(),
        frame="more" if now > number else "less",
        slots={"x": pattern.bare},
    )


EDITS: dict[str, tuple[Callable[[EditState, Random], Edit | None], ...]] = {
    "addition": (add,),
    "removal": (remove,),
    "modification": (recolour, swap, move),
    "comparison": (resize, count),
}
