"""Composed queries of five kinds: a reference scene, a modification text and a target scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Protocol

from imagescope_agent.lab.scenes.conditions import (
    SETTING_PHRASE,
    Count,
    Exists,
    InSetting,
    Pattern,
    full_pattern,
    satisfies,
)
from imagescope_agent.lab.scenes.edits import EDITS, Edit, EditState
from imagescope_agent.lab.scenes.language import join, reworded
from imagescope_agent.lab.scenes.queries import (
    QueryStep,
    SceneQuery,
    kind_colour_patterns,
    listing,
    with_setting,
)
from imagescope_agent.lab.scenes.world import Scene, Thing, place, random_scene, random_thing

COMPOSED_KINDS = ("addition", "removal", "modification", "comparison", "retention")


class Wording(Protocol):
    """Puts edits into words."""

    def edits(self, edits: Sequence[Edit], rng: Random) -> str:
        """The words for edits of the reference; whatever they do not name stays."""
        ...

    def retention(self, named: str, edit: Edit, rng: Random) -> str:
        """The words for keeping what is named, with an edit; the rest may change."""
        ...


class PlainWording:
    """The words of the queries that are evaluated."""

    def edits(self, edits: Sequence[Edit], rng: Random) -> str:
        """See `Wording`."""
        if rng.random() < 0.5:
            return rng.choice(("", "", "please ", "now ")) + " and ".join(edit.order for edit in edits)
        start = rng.choice(
            ("the same, ", "the same scene, ", "like this, ", "the same but ", "like this but ")
        )
        return start + " and ".join(edit.description for edit in edits)

    def retention(self, named: str, edit: Edit, rng: Random) -> str:
        """See `Wording`."""
        templates = (
            f"keep {named}, {edit.order}, the rest may change",
            f"keep only {named} and {edit.order}",
            f"just {named} again {edit.description}",
            f"another picture of {named} {edit.description}",
        )
        return rng.choice(templates)


_PLAIN = PlainWording()


def composed_query(
    reference: Scene, kind: str, rng: Random, wording: Wording = _PLAIN
) -> tuple[SceneQuery, Scene] | None:
    """A query of `kind` about `reference` with a new target scene; None if the scene allows none.

    Whatever the text does not change must remain with its colour, as often as before, in the same setting;
    sizes and positions are free. A "retention" query leaves what it does not name free instead. Steps follow the
    reference from left to right, then the setting, then what is new.
    """
    if kind == "retention":
        return _retention_query(reference, rng, wording)
    state = EditState(
        things=reference.things, free=(True,) * len(reference.things), setting=reference.setting
    )
    kinds = [kind, rng.choice(list(EDITS))] if rng.random() < 0.3 else [kind]
    edits: list[Edit] = []
    positioned: list[tuple[int, QueryStep]] = []
    for name in kinds:
        edit = rng.choice(EDITS[name])(state, rng)
        if edit is None and not edits:
            return None
        if edit is not None and not (edits and edit.after.setting != state.setting != reference.setting):
            edits.append(edit)
            positioned += [(_position_of(edit, state, reference), step) for step in edit.steps]
            state = edit.after
    positioned = sorted([*positioned, *_retention_steps(reference, state)], key=lambda pair: pair[0])
    steps = tuple(step for _, step in positioned)
    query = _with_descriptions(kind, wording.edits(edits, rng), steps, edits, state)
    query = replace(query, places=tuple(place for place, _ in positioned))
    return _valid_pair(query, place(state.things, state.setting, rng))


def _valid_pair(query: SceneQuery, target: Scene) -> tuple[SceneQuery, Scene] | None:
    """The pair, or None if the target fails the query (edits that undo each other, things shrunk to fit)."""
    return (query, target) if satisfies(target, query.conditions) else None


def _position_of(edit: Edit, before: EditState, reference: Scene) -> int:
    """Position in the reference that an edit changes, as `SceneQuery.places` counts them."""
    untouched = [thing for thing, free in zip(edit.after.things, edit.after.free, strict=True) if free]
    touched = [
        thing
        for thing, free in zip(before.things, before.free, strict=True)
        if free and not any(thing is other for other in untouched)
    ]
    new = len(reference.things) + (edit.after.setting == before.setting)
    places = (i for i, thing in enumerate(reference.things) if any(thing is other for other in touched))
    return min(places, default=new)


def _retention_steps(reference: Scene, state: EditState) -> list[tuple[int, QueryStep]]:
    """Retention steps with their positions: kind and colour of untouched things, then the setting.

    A pattern that several things share has its step at the first and its count at the last of them, so that steps can
    be written in one pass over the reference.
    """
    free = [thing for thing, flag in zip(state.things, state.free, strict=True) if flag]
    steps = []
    for pattern in dict.fromkeys(kind_colour_patterns(free)):
        places = [i for i, thing in enumerate(reference.things) if pattern.matches(thing)]
        steps.append((places[0], QueryStep("Retention", Exists(pattern))))
        if len(places) > 1:
            steps.append((places[-1], QueryStep("Retention", Count(pattern, len(places)))))
    if state.setting == reference.setting:
        steps.append((len(reference.things), QueryStep("Retention", InSetting(state.setting))))
    return steps


def _with_descriptions(
    kind: str, text: str, steps: tuple[QueryStep, ...], edits: Sequence[Edit], state: EditState
) -> SceneQuery:
    named = [pattern for edit in edits for pattern in edit.named]
    new_setting = next(
        (s.condition.name for s in steps if isinstance(s.condition, InSetting) and s.type != "Retention"),
        None,
    )
    patterns = [_known_pattern(thing, named) for thing in state.things]
    core = listing(
        [replace(pattern, size=None) for pattern in named] or [replace(p, size=None) for p in patterns]
    )
    return SceneQuery(
        kind=kind,
        text=text,
        steps=steps,
        core=with_setting(core, new_setting),
        enhanced=with_setting(listing(named or patterns), new_setting or state.setting),
        full=with_setting(listing(patterns), state.setting),
    )


def _known_pattern(thing: Thing, named: Sequence[Pattern]) -> Pattern:
    """What reference and text tell of a thing; no size for what the text adds without one."""
    mentioned = [pattern for pattern in named if Pattern(pattern.kind, pattern.colour).matches(thing)]
    return mentioned[0] if mentioned else full_pattern(thing)


def kept_things(reference: Scene, rng: Random) -> list[Thing]:
    """One or two things from left to right, each the only one of its kind; none where there is no such thing."""
    unique = [t for t in reference.things if sum(t.kind == o.kind for o in reference.things) == 1]
    return (
        sorted(rng.sample(unique, rng.randint(1, min(2, len(unique)))), key=lambda t: t.x) if unique else []
    )


def _retention_query(reference: Scene, rng: Random, wording: Wording) -> tuple[SceneQuery, Scene] | None:
    kept = kept_things(reference, rng)
    if not kept:
        return None
    state = EditState(things=tuple(kept), free=(False,) * len(kept), setting=reference.setting)
    edit = rng.choice((*EDITS["addition"], EDITS["modification"][2]))(state, rng)
    if edit is None:
        return None
    named = join([f"the {reworded(Pattern(t.kind), rng)}" for t in kept])
    keeps = tuple(QueryStep("Retention", Exists(pattern)) for pattern in kind_colour_patterns(kept))
    query = _with_descriptions(
        "retention", wording.retention(named, edit, rng), keeps + edit.steps, [edit], edit.after
    )
    description = listing([*kind_colour_patterns(kept), *edit.named])
    wanted = with_setting(description, _new_setting(edit))
    new = len(reference.things) + (_new_setting(edit) is None)
    places = (*(reference.things.index(thing) for thing in kept), *([new] * len(edit.steps)))
    query = replace(query, core=description, enhanced=wanted, full=wanted, places=places)
    extras = tuple(random_thing(rng) for _ in range(rng.randint(0, 2)))
    setting = edit.after.setting if _new_setting(edit) else rng.choice(list(SETTING_PHRASE))
    return _valid_pair(query, place((*edit.after.things, *extras), setting, rng))


def _new_setting(edit: Edit) -> str | None:
    return next((s.condition.name for s in edit.steps if isinstance(s.condition, InSetting)), None)


def near_miss_scene(scene: Scene, rng: Random) -> Scene:
    """The scene with one thing changed, missing or added, or another setting; positions are sampled anew."""
    state = EditState(things=scene.things, free=(True,) * len(scene.things), setting=scene.setting)
    while True:
        kind = rng.choice(
            ("addition", "removal", "modification", "modification", "modification", "comparison")
        )
        edit = rng.choice(EDITS[kind])(state, rng)
        if edit is not None:
            return place(edit.after.things, edit.after.setting, rng)


def composed_group(rng: Random, kinds: Sequence[str]) -> tuple[list[Scene], list[SceneQuery]] | None:
    """A reference with, for each kind of query, a target and a near miss of it (hard negative).

    Returns:
        scenes [reference, target, near miss, target, near miss, ...] and one query per kind; None if the reference
        allows no query of one of the kinds.
    """
    scenes = [random_scene(rng, count=rng.randint(2, 4))]
    queries = []
    for kind in kinds:
        attempts = (composed_query(scenes[0], kind, rng) for _ in range(20))
        made = next((pair for pair in attempts if pair), None)
        if made is None:
            return None
        queries.append(made[0])
        scenes += [made[1], near_miss_scene(made[1], rng)]
    return scenes, queries
