"""Hard negatives: scenes that miss a query by one property of one condition, and queries that nothing fulfils."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_query, near_miss_scene
from imagescope_agent.lab.scenes.conditions import (
    Absent,
    Condition,
    Count,
    Exists,
    InSetting,
    Pattern,
    Related,
    satisfies,
)
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.lab.scenes.world import Scene

_TRIES = 200


def nearly(scene: Scene, conditions: Sequence[Condition]) -> bool:
    """Whether exactly one condition fails, and that one by one property."""
    failed = [condition for condition in conditions if not condition.holds(scene)]
    return len(failed) == 1 and one_off(scene, failed[0])


def one_off(scene: Scene, condition: Condition) -> bool:
    """Whether a condition that fails would hold if one property were another.

    A thing's kind, colour or size; one thing more or less; another setting; the same two things otherwise placed.
    """
    if isinstance(condition, Exists):
        return any(wider.among(scene) for wider in _wider(condition.pattern))
    if isinstance(condition, Count):
        return abs(len(condition.pattern.among(scene)) - condition.number) == 1
    if isinstance(condition, Related):
        return bool(condition.first.among(scene) and condition.second.among(scene))
    return isinstance(condition, Absent | InSetting)


def _wider(pattern: Pattern) -> list[Pattern]:
    """The pattern without one of its properties; a bare kind has none to spare."""
    given = [name for name in ("kind", "colour", "size") if getattr(pattern, name) is not None]
    return [replace(pattern, **{name: None}) for name in given] if len(given) > 1 else []


def near_misses(
    scenes: Sequence[Scene],
    names: Sequence[str],
    conditions: Sequence[Condition],
    without: Sequence[str] = (),
) -> list[str]:
    """The names of the scenes that miss a query narrowly; none of `without`, its references."""
    pairs = zip(names, scenes, strict=True)
    return [name for name, scene in pairs if name not in without and nearly(scene, conditions)]


def unfulfilled_query(
    scenes: Sequence[Scene], composed: bool, rng: Random
) -> tuple[SceneQuery, int | None] | None:
    """A query that no scene fulfils and one nearly does, and the index of its reference; None if none was found."""
    for _ in range(_TRIES):
        reference = rng.randrange(len(scenes))
        if composed:
            made = composed_query(scenes[reference], rng.choice(COMPOSED_KINDS), rng)
            query = made[0] if made else None
        else:
            query = text_query(near_miss_scene(scenes[reference], rng), rng.choice(TEXT_KINDS), rng)
        if query is None or any(satisfies(scene, query.conditions) for scene in scenes):
            continue
        if any(nearly(scene, query.conditions) for scene in scenes):
            return query, reference if composed else None
    return None
