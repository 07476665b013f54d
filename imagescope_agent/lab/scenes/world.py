"""Scene graphs: things with kind, colour, size and position in a setting, sampled at random."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from random import Random

KINDS = ("house", "tree", "boat", "car", "fish", "flower", "star", "heart", "umbrella", "cat")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "black", "white")
SIZES = ("small", "large")
SETTINGS = ("meadow", "beach", "desert", "snow", "sunset", "night")
RELATIONS = ("left of", "right of", "above", "below")
MAX_THINGS = 6

#: Diameter of a thing, as a fraction of the image's side: the range it is drawn from.
DIAMETER = {"small": (0.20, 0.23), "large": (0.33, 0.37)}
#: Least distance between two centres along EACH axis, so that left/right/above/below is never ambiguous.
CLEAR_GAP = 0.05


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One thing; `x`, `y` is its centre and `diameter` its extent, all in fractions of the image's side."""

    kind: str
    colour: str
    size: str
    x: float = 0.5
    y: float = 0.5
    diameter: float = 0.2


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The scene graph of one image: things sorted from left to right, setting, variant of its background."""

    things: tuple[Thing, ...]
    setting: str
    variant: int = 0


def random_thing(rng: Random, *, like: tuple[Thing, ...] = ()) -> Thing:
    """Sample kind, colour and size; with probability 0.25 a kind already there, so that counts above one occur."""
    kind = rng.choice(KINDS)
    colour = rng.choice(COLOURS)
    if like and rng.random() < 0.25:
        twin = rng.choice(like)
        kind = twin.kind
        colour = twin.colour if rng.random() < 0.5 else colour
    return Thing(kind=kind, colour=colour, size=rng.choice(SIZES))


def random_scene(rng: Random, *, count: int | None = None) -> Scene:
    """A scene of `count` things (1-6, mostly 2-4, when not given) placed without overlap."""
    count = count or rng.choices(range(1, MAX_THINGS + 1), weights=(10, 24, 28, 20, 11, 7))[0]
    things: tuple[Thing, ...] = ()
    for _ in range(count):
        things += (random_thing(rng, like=things),)
    return place(things, rng.choice(SETTINGS), rng)


def place(things: tuple[Thing, ...], setting: str, rng: Random) -> Scene:
    """Give every thing a free position.

    Things never overlap and any two differ by `CLEAR_GAP` in x and in y. Where the things do not fit, the last
    large one becomes small; six small ones always fit.
    """
    while True:
        for _ in range(40):
            placed = _try_place(things, rng)
            if placed is not None:
                ordered = tuple(sorted(placed, key=lambda thing: thing.x))
                return Scene(things=ordered, setting=setting, variant=rng.randrange(8))
        things = _shrink_last_large(things)


def _try_place(things: tuple[Thing, ...], rng: Random) -> list[Thing] | None:
    placed: list[Thing] = []
    for thing in sorted(things, key=lambda t: t.size == "small"):
        diameter = round(rng.uniform(*DIAMETER[thing.size]), 2)
        margin = diameter / 2 + 0.02
        for _ in range(40):
            x, y = rng.uniform(margin, 1 - margin), rng.uniform(margin, 1 - margin)
            if all(_clear(x, y, diameter, other) for other in placed):
                placed.append(replace(thing, x=round(x, 3), y=round(y, 3), diameter=diameter))
                break
        else:
            return None
    return placed


def _clear(x: float, y: float, diameter: float, other: Thing) -> bool:
    dx, dy = abs(x - other.x), abs(y - other.y)
    apart = math.hypot(dx, dy) >= (diameter + other.diameter) / 2 * 1.05
    return apart and dx >= CLEAR_GAP and dy >= CLEAR_GAP


def _shrink_last_large(things: tuple[Thing, ...]) -> tuple[Thing, ...]:
    large = [i for i, thing in enumerate(things) if thing.size == "large"]
    if not large:
        raise ValueError(f"{len(things)} things do not fit into one image; ask for at most {MAX_THINGS}")
    return tuple(replace(t, size="small") if i == large[-1] else t for i, t in enumerate(things))
