"""Composed queries of five kinds: a reference, what to change in it, and a scene that answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from imagescope_agent.lab.scenes.conditions import (
    SETTING_PHRASE,
    Count,
    Exists,
    Pattern,
    Setting,
    full_pattern,
    satisfies,
)
from imagescope_agent.lab.scenes.edits import EDITS, Edit, State, Step
from imagescope_agent.lab.scenes.language import join, reworded
from imagescope_agent.lab.scenes.queries import Query, listing, looks_of, with_place
from imagescope_agent.lab.scenes.world import Scene, Thing, place, random_scene, random_thing

COMPOSED_KINDS = ("addition", "removal", "modification", "comparison", "retention")


def composed_query(reference: Scene, kind: str, rng: Random) -> tuple[Query, Scene] | None:
    """A change of `kind` to `reference` and a new scene that answers it, or None where nothing fits.

    Whatever the instruction does not touch must still be there with its colour, as often as before, in the same
    setting; sizes and places are free. An instruction to keep something leaves all the rest free instead. Steps go
    through the reference from left to right, then to the setting, then to what is new.
    """
    if kind == "retention":
        return _retaining(reference, rng)
    state = State(things=reference.things, free=(True,) * len(reference.things), setting=reference.setting)
    kinds = [kind, rng.choice(list(EDITS))] if rng.random() < 0.3 else [kind]
    edits: list[Edit] = []
    placed: list[tuple[int, Step]] = []
    for name in kinds:
        edit = rng.choice(EDITS[name])(state, rng)
        if edit is None and not edits:
            return None
        if edit is not None and not (edits and edit.after.setting != state.setting != reference.setting):
            edits.append(edit)
            placed += [(_place_of(edit, state, reference), step) for step in edit.steps]
            state = edit.after
    placed = sorted([*placed, *_retained(reference, state)], key=lambda pair: pair[0])
    steps = tuple(step for _, step in placed)
    query = _composed(kind, _instruction(edits, rng), steps, edits, state)
    query = replace(query, places=tuple(place for place, _ in placed))
    return _fitting(query, place(state.things, state.setting, rng))


def _fitting(query: Query, target: Scene) -> tuple[Query, Scene] | None:
    """Drop the rare pair whose edits undo each other, or whose target had to shrink a thing to fit."""
    return (query, target) if satisfies(target, query.conditions) else None


def _instruction(edits: Sequence[Edit], rng: Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(("", "", "please ", "now ")) + " and ".join(edit.order for edit in edits)
    start = rng.choice(("the same, ", "the same scene, ", "like this, ", "the same but ", "like this but "))
    return start + " and ".join(edit.description for edit in edits)


def _place_of(edit: Edit, before: State, reference: Scene) -> int:
    """Where in the reference an edit takes hold: index of a thing, then the setting, then what is new."""
    still = [thing for thing, free in zip(edit.after.things, edit.after.free, strict=True) if free]
    touched = [
        thing
        for thing, free in zip(before.things, before.free, strict=True)
        if free and not any(thing is other for other in still)
    ]
    new = len(reference.things) + (edit.after.setting == before.setting)
    places = (i for i, thing in enumerate(reference.things) if any(thing is other for other in touched))
    return min(places, default=new)


def _retained(reference: Scene, state: State) -> list[tuple[int, Step]]:
    """What the instruction leaves alone, with its place: looks of untouched things, then the setting.

    A look that several things share is kept at the first and counted at the last of them, so that a reader who goes
    through the reference once can follow.
    """
    free = [thing for thing, flag in zip(state.things, state.free, strict=True) if flag]
    steps = []
    for look in dict.fromkeys(looks_of(free)):
        places = [i for i, thing in enumerate(reference.things) if look.matches(thing)]
        steps.append((places[0], Step("Retention", Exists(look))))
        if len(places) > 1:
            steps.append((places[-1], Step("Retention", Count(look, len(places)))))
    if state.setting == reference.setting:
        steps.append((len(reference.things), Step("Retention", Setting(state.setting))))
    return steps


def _composed(kind: str, text: str, steps: tuple[Step, ...], edits: Sequence[Edit], state: State) -> Query:
    named = [pattern for edit in edits for pattern in edit.named]
    moved = next(
        (s.condition.name for s in steps if isinstance(s.condition, Setting) and s.type != "Retention"), None
    )
    everything = [_known(thing, named) for thing in state.things]
    core = listing(
        [replace(pattern, size=None) for pattern in named] or [replace(p, size=None) for p in everything]
    )
    return Query(
        kind=kind,
        text=text,
        steps=steps,
        core=with_place(core, moved),
        enhanced=with_place(listing(named or everything), moved or state.setting),
        full=with_place(listing(everything), state.setting),
    )


def _known(thing: Thing, named: Sequence[Pattern]) -> Pattern:
    """What a reader of reference and instruction knows of a thing: no size where nobody said one."""
    said = [pattern for pattern in named if Pattern(pattern.kind, pattern.colour).matches(thing)]
    return said[0] if said else full_pattern(thing)


def _retaining(reference: Scene, rng: Random) -> tuple[Query, Scene] | None:
    single = [t for t in reference.things if sum(t.kind == o.kind for o in reference.things) == 1]
    if not single:
        return None
    kept = sorted(rng.sample(single, rng.randint(1, min(2, len(single)))), key=lambda t: t.x)
    state = State(things=tuple(kept), free=(False,) * len(kept), setting=reference.setting)
    edit = rng.choice((*EDITS["addition"], EDITS["modification"][2]))(state, rng)
    if edit is None:
        return None
    named = join([f"the {reworded(Pattern(t.kind), rng)}" for t in kept])
    shapes = (f"keep {named}, {edit.order}, the rest may change", f"keep only {named} and {edit.order}",
              f"just {named} again {edit.description}", f"another picture of {named} {edit.description}")  # fmt: skip
    keeps = tuple(Step("Retention", Exists(look)) for look in looks_of(kept))
    query = _composed("retention", rng.choice(shapes), keeps + edit.steps, [edit], edit.after)
    looks = listing([*looks_of(kept), *edit.named])
    wanted = with_place(looks, _moved(edit))
    new = len(reference.things) + (_moved(edit) is None)
    places = (*(reference.things.index(thing) for thing in kept), *([new] * len(edit.steps)))
    query = replace(query, core=looks, enhanced=wanted, full=wanted, places=places)
    extras = tuple(random_thing(rng) for _ in range(rng.randint(0, 2)))
    setting = edit.after.setting if _moved(edit) else rng.choice(list(SETTING_PHRASE))
    return _fitting(query, place((*edit.after.things, *extras), setting, rng))


def _moved(edit: Edit) -> str | None:
    return next((s.condition.name for s in edit.steps if isinstance(s.condition, Setting)), None)


def near_miss_scene(scene: Scene, rng: Random) -> Scene:
    """The scene with one thing changed, missing or added, or elsewhere; everything is placed anew."""
    state = State(things=scene.things, free=(True,) * len(scene.things), setting=scene.setting)
    while True:
        kind = rng.choice(
            ("addition", "removal", "modification", "modification", "modification", "comparison")
        )
        edit = rng.choice(EDITS[kind])(state, rng)
        if edit is not None:
            return place(edit.after.things, edit.after.setting, rng)


def family(rng: Random, kinds: Sequence[str]) -> tuple[list[Scene], list[Query]] | None:
    """A reference with, for each kind of change, a target and a near miss of it.

    Returns:
        scenes [reference, target, near miss, target, near miss, ...] and one query a kind; None where the reference
        offers nothing for one of the kinds.
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
