"""Changes that people ask of a reference picture: how they say it, what must then hold, and a scene that fits.

Every edit is a function `(state, rng) -> Edit | None`; None where the scene offers nothing to change that way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from imagescope_agent.lab.scenes.conditions import (
    Absent,
    Condition,
    Count,
    Exists,
    Pattern,
    Setting,
    full_pattern,
)
from imagescope_agent.lab.scenes.language import SETTING_WORDS, reworded, with_article
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, MAX_THINGS, SETTINGS, Thing


@dataclass(frozen=True)
class Step:
    """One atomic instruction: its type in ImageScope's sense and the condition it stands for."""

    type: str
    condition: Condition


@dataclass(frozen=True, kw_only=True)
class State:
    """Things and setting on the way from reference to target; `free` marks the things no edit has touched."""

    things: tuple[Thing, ...]
    free: tuple[bool, ...]
    setting: str


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What one edit says (as an order and as a description), asks for, changes and names."""

    order: str
    description: str
    steps: tuple[Step, ...]
    after: State
    named: tuple[Pattern, ...]  # what the picture must now show, as far as the edit says it


def _kind_and_colour(thing: Thing) -> Pattern:
    return Pattern(thing.kind, thing.colour)


def _single(state: State, rng: Random) -> int | None:
    """Index of an untouched thing whose kind and colour no other thing shares."""
    fit = [
        i
        for i, thing in enumerate(state.things)
        if state.free[i] and sum(_kind_and_colour(thing).matches(other) for other in state.things) == 1
    ]
    return rng.choice(fit) if fit else None


def naming(state: State, index: int, rng: Random) -> Pattern:
    """How the instruction calls a thing: by kind where that is enough (and often even then by colour too)."""
    thing = state.things[index]
    alone = sum(other.kind == thing.kind for other in state.things) == 1
    return Pattern(thing.kind, None if alone and rng.random() < 0.5 else thing.colour)


def _new_thing(state: State, rng: Random) -> Thing:
    while True:
        thing = Thing(kind=rng.choice(KINDS), colour=rng.choice(COLOURS), size=rng.choice(("small", "large")))
        if not any(_kind_and_colour(thing).matches(other) for other in state.things):
            return thing


def _replaced(state: State, index: int, thing: Thing) -> State:
    things = tuple(thing if i == index else other for i, other in enumerate(state.things))
    return replace(state, things=things, free=_touched(state.free, index))


def _touched(free: tuple[bool, ...], index: int) -> tuple[bool, ...]:
    return tuple(flag and i != index for i, flag in enumerate(free))


def _said(thing: Thing, rng: Random) -> Pattern:
    return Pattern(thing.kind, thing.colour, thing.size if rng.random() < 0.4 else None)


def add(state: State, rng: Random) -> Edit | None:
    """ "add a small red star"."""
    if len(state.things) >= MAX_THINGS - 1:
        return None
    thing = _new_thing(state, rng)
    said = _said(thing, rng)
    phrase = with_article(reworded(said, rng))
    after = replace(state, things=(*state.things, thing), free=(*state.free, False))
    return Edit(
        order=rng.choice((f"add {phrase}", f"put {phrase} in", f"include {phrase}")),
        description=rng.choice((f"with {phrase}", f"with {phrase} too", f"plus {phrase}")),
        steps=(Step("Addition", Exists(said)),),
        after=after,
        named=(said,),
    )


def remove(state: State, rng: Random) -> Edit | None:
    """ "without the boat"."""
    index = _single(state, rng)
    if index is None or len(state.things) < 2:
        return None
    called = naming(state, index, rng)
    phrase = reworded(called, rng)
    keep = [i for i in range(len(state.things)) if i != index]
    after = replace(
        state, things=tuple(state.things[i] for i in keep), free=tuple(state.free[i] for i in keep)
    )
    return Edit(
        order=rng.choice((f"remove the {phrase}", f"take away the {phrase}", f"take the {phrase} out")),
        description=rng.choice((f"without the {phrase}", f"with no {phrase}", f"minus the {phrase}")),
        steps=(Step("Removal", Absent(called)),),
        after=after,
        named=(),
    )


def recolour(state: State, rng: Random) -> Edit | None:
    """ "make the house green"."""
    index = _single(state, rng)
    if index is None:
        return None
    old = state.things[index]
    new = replace(old, colour=rng.choice([c for c in COLOURS if c != old.colour]))
    if any(_kind_and_colour(new).matches(other) for other in state.things):
        return None
    phrase = reworded(naming(state, index, rng), rng)
    return Edit(
        order=rng.choice((f"make the {phrase} {new.colour}", f"paint the {phrase} {new.colour}")),
        description=rng.choice((f"the {phrase} is {new.colour}", f"the {phrase} should be {new.colour}")),
        steps=(
            Step("Modification", Exists(_kind_and_colour(new))),
            Step("Removal", Absent(_kind_and_colour(old))),
        ),
        after=_replaced(state, index, new),
        named=(full_pattern(new),),
    )


def swap(state: State, rng: Random) -> Edit | None:
    """ "replace the boat with a yellow cat"."""
    index = _single(state, rng)
    if index is None:
        return None
    called = naming(state, index, rng)
    new = _new_thing(state, rng)
    if called.matches(new):
        return None
    said = _said(new, rng)
    phrase, old = with_article(reworded(said, rng)), reworded(called, rng)
    return Edit(
        order=rng.choice((f"replace the {old} with {phrase}", f"swap the {old} for {phrase}")),
        description=rng.choice((f"with {phrase} instead of the {old}", f"{phrase} in place of the {old}")),
        steps=(Step("Modification", Exists(said)), Step("Removal", Absent(called))),
        after=_replaced(state, index, new),
        named=(said,),
    )


def move(state: State, rng: Random) -> Edit | None:
    """ "the same at night"."""
    setting = rng.choice([name for name in SETTINGS if name != state.setting])
    place = rng.choice(SETTING_WORDS[setting])
    return Edit(
        order=rng.choice((f"show it {place}", f"put it {place}", f"make it {place}")),
        description=place,
        steps=(Step("Modification", Setting(setting)),),
        after=replace(state, setting=setting),
        named=(),
    )


def resize(state: State, rng: Random) -> Edit | None:
    """ "a bigger house"."""
    index = _single(state, rng)
    if index is None:
        return None
    old = state.things[index]
    new = replace(old, size="small" if old.size == "large" else "large")
    word = rng.choice(("bigger", "larger") if new.size == "large" else ("smaller", "tinier"))
    phrase = reworded(naming(state, index, rng), rng)
    said = Pattern(new.kind, new.colour, new.size)
    return Edit(
        order=f"make the {phrase} {word}",
        description=rng.choice((f"the {phrase} is {word}", f"with a {word} {phrase}")),
        steps=(Step("Comparison", Exists(said)),),
        after=_replaced(state, index, new),
        named=(said,),
    )


def count(state: State, rng: Random) -> Edit | None:
    """ "one more red star"."""
    fit = [
        i
        for i, thing in enumerate(state.things)
        if all(state.free[j] for j, t in enumerate(state.things) if _kind_and_colour(thing).matches(t))
    ]
    if not fit:
        return None
    index = rng.choice(fit)
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
        steps=(Step("Comparison", Count(pattern, now)),),
        after=replace(state, things=things, free=tuple(flags[id(t)] for t in things)),
        named=(),
    )


EDITS: dict[str, tuple[Callable[[State, Random], Edit | None], ...]] = {
    "addition": (add,),
    "removal": (remove,),
    "modification": (recolour, swap, move),
    "comparison": (resize, count),
}
