"""Queries with several references, each beside a query of the same conditions with one reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from imagescope_agent.lab.scenes.conditions import (
    SETTING_PHRASE,
    Condition,
    Exists,
    InSetting,
    Pattern,
    predicates,
    satisfies,
)
from imagescope_agent.lab.scenes.language import SETTING_WORDS, join
from imagescope_agent.lab.scenes.world import Scene, Thing

#: What the references give: two or three things, a thing and the setting, a thing and the colour of another.
MULTI_KINDS = ("things", "things of three", "setting", "colour")
_TRIES = 200


@dataclass(frozen=True, kw_only=True)
class MultiQuery:
    """A query with several references and its twin.

    Attributes:
        kind: one of `MULTI_KINDS`.
        text: names the references by their numbers.
        references: indices of scenes, in the order of their numbers.
        single: a text of the same conditions for the first reference alone.
        conditions: what a relevant image satisfies.
        named: the nouns of what the text names, in order of the references.
        place: words of the setting where the text names it.
    """

    kind: str
    text: str
    references: tuple[int, ...]
    single: str
    conditions: tuple[Condition, ...]
    named: tuple[str, ...]
    place: str = ""


def multi_query(scenes: Sequence[Scene], kind: str, rng: Random) -> MultiQuery | None:
    """A query of `kind` that a random scene satisfies and none of its references; None if none was found.

    What a reference gives is the only thing of its kind there, so that "the house of image 1" is one house.
    """
    make = {"setting": _setting, "colour": _colour}.get(kind, _things)
    for _ in range(_TRIES):
        query = make(scenes, rng.choice(scenes), 3 if kind == "things of three" else 2, rng)
        if query is not None and not any(satisfies(scenes[i], query.conditions) for i in query.references):
            return query
    return None


def _things(scenes: Sequence[Scene], target: Scene, count: int, rng: Random) -> MultiQuery | None:
    kinds = sorted({thing.kind for thing in target.things})
    if len(kinds) < count:
        return None
    wanted = [_first(target, kind) for kind in rng.sample(kinds, count)]
    references = [_showing(scenes, thing, rng) for thing in wanted]
    if None in references:
        return None
    named = [f"the {thing.kind} of image {number}" for number, thing in enumerate(wanted, 1)]
    first, *others = wanted
    added = join([Pattern(thing.kind, thing.colour).words() for thing in others])
    return MultiQuery(
        kind="things" if count == 2 else "things of three",
        text=rng.choice(("keep {}, the rest may change", "keep only {}", "{} together")).format(join(named)),
        references=tuple(each for each in references if each is not None),
        single=f"keep the {first.kind}, {rng.choice(('add', 'put in', 'include'))} {added}, the rest may change",
        conditions=tuple(Exists(Pattern(thing.kind, thing.colour)) for thing in wanted),
        named=tuple(thing.kind for thing in wanted),
    )


def _setting(scenes: Sequence[Scene], target: Scene, count: int, rng: Random) -> MultiQuery | None:
    thing = rng.choice(target.things)
    reference = _showing(scenes, thing, rng)
    others = [i for i, scene in enumerate(scenes) if scene.setting == target.setting]
    if reference is None or scenes[reference].setting == target.setting:
        return None
    named = f"the {thing.kind} of image 1"
    return MultiQuery(
        kind="setting",
        text=rng.choice((f"keep only {named}, in the place of image 2", f"{named} where image 2 is")),
        references=(reference, rng.choice(others)),
        single=f"keep the {thing.kind}, show it {rng.choice(SETTING_WORDS[target.setting])}, the rest may change",
        conditions=(Exists(Pattern(thing.kind, thing.colour)), InSetting(target.setting)),
        named=(thing.kind,),
    )


def _colour(scenes: Sequence[Scene], target: Scene, count: int, rng: Random) -> MultiQuery | None:
    thing = rng.choice(target.things)
    shapes = [
        i
        for i, scene in enumerate(scenes)
        if (of := _only(scene, thing.kind)) is not None and of.colour != thing.colour
    ]
    paints = [
        (i, each.kind)
        for i, scene in enumerate(scenes)
        for each in scene.things
        if each.colour == thing.colour and each.kind != thing.kind and _only(scene, each.kind) is each
    ]
    if not shapes or not paints:
        return None
    paint, kind = rng.choice(paints)
    place = SETTING_PHRASE[target.setting]
    return MultiQuery(
        kind="colour",
        text=f"the {thing.kind} of image 1 in the colour of the {kind} of image 2, {place}",
        references=(rng.choice(shapes), paint),
        single=f"keep only the {thing.kind}, paint it {thing.colour} and show it {place}",
        conditions=(Exists(Pattern(thing.kind, thing.colour)), InSetting(target.setting)),
        named=(thing.kind, kind),
        place=place,
    )


def _first(scene: Scene, kind: str) -> Thing:
    return next(thing for thing in scene.things if thing.kind == kind)


def _only(scene: Scene, kind: str) -> Thing | None:
    """The thing of a kind where there is one only."""
    found = [thing for thing in scene.things if thing.kind == kind]
    return found[0] if len(found) == 1 else None


def _showing(scenes: Sequence[Scene], thing: Thing, rng: Random) -> int | None:
    """A scene with one thing of this kind, in this colour."""
    found = [
        i
        for i, scene in enumerate(scenes)
        if (of := _only(scene, thing.kind)) is not None and of.colour == thing.colour
    ]
    return rng.choice(found) if found else None


def multi_lines(
    scenes: Sequence[Scene], names: Sequence[str], wanted: int, rng: Random
) -> list[tuple[dict[str, object], tuple[Condition, ...]]]:
    """The lines of multi.jsonl with their conditions, the kinds in turn; fewer than wanted where there are no more."""
    lines: list[tuple[dict[str, object], tuple[Condition, ...]]] = []
    for number in range(wanted):
        query = multi_query(scenes, MULTI_KINDS[number % len(MULTI_KINDS)], rng)
        if query is None:
            continue
        references = [names[i] for i in query.references]
        found = (
            name for name, scene in zip(names, scenes, strict=True) if satisfies(scene, query.conditions)
        )
        line: dict[str, object] = {
            "qid": f"multi-{number:04d}",
            "kind": query.kind,
            "references": references,
            "text": query.text,
            "single": query.single,
            "predicates": predicates(query.conditions),
            "targets": list(found),
        }
        lines.append((line, query.conditions))
    return lines
