"""Wishes in several wordings each, written by hand (the TOML files beside this), that no training reads."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

from imagescope_agent.lab.scenes.conditions import (
    SETTING_PHRASE,
    Absent,
    Condition,
    Exists,
    InSetting,
    Pattern,
    Related,
    satisfies,
)
from imagescope_agent.lab.scenes.language import with_article
from imagescope_agent.lab.scenes.multi_queries import multi_query
from imagescope_agent.lab.scenes.queries import SceneQuery, kind_colour_patterns
from imagescope_agent.lab.scenes.text_queries import distinct_things
from imagescope_agent.lab.scenes.world import KINDS, Scene

#: How many wordings the files have for each kind of wish.
WORDINGS = {"wordings": 6, "more_wordings": 12, "strangers": 12}


#: What fills the slots of a wish, and the fields of `Wish` that are told apart from its words.
_Found = tuple[dict[str, str], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A wish in several wordings.

    Attributes:
        kind: "text", "composed" or "several", and which of the wordings.
        texts: the wordings.
        references: indices of scenes.
        conditions: what a relevant image satisfies.
    """

    kind: str
    texts: tuple[str, ...]
    references: tuple[int, ...]
    conditions: tuple[Condition, ...]


@cache
def wordings(file: str = "wordings") -> dict[str, dict[str, list[str]]]:
    """The wordings of a file by group and kind, with slots."""
    place = files("imagescope_agent.lab.scenes.probes") / f"{file}.toml"
    return tomllib.loads(place.read_text(encoding="utf-8"))


def wish(
    scenes: Sequence[Scene],
    composed: Sequence[tuple[int, SceneQuery]],
    group: str,
    rng: Random,
    file: str = "wordings",
) -> Wish | None:
    """A random wish of a group ("text", "composed", "several"); None where the scenes allow none."""
    forms = wordings(file)[group]
    kind = rng.choice(list(forms))
    if group == "text":
        found = _text(scenes, kind, rng)
    else:
        found = _composed(composed, kind, rng) if group == "composed" else _several(scenes, kind, rng)
    if found is None:
        return None
    slots, told = found
    texts = tuple(each.format(**slots) for each in forms[kind])
    if group == "several" and slots["p"] and not any("{p}" in each for each in forms[kind]):
        # these wordings name no place: none can be asked for
        told["conditions"] = tuple(each for each in told["conditions"] if not isinstance(each, InSetting))
    return Wish(kind=f"{group}, {kind.replace('_', ' ')}", texts=texts, **told)


def _text(scenes: Sequence[Scene], kind: str, rng: Random) -> _Found | None:
    scene = rng.choice(scenes)
    if kind == "single":
        one = kind_colour_patterns([rng.choice(scene.things)])[0]
        return {"a": one.words()}, {"references": (), "conditions": (Exists(one),)}
    things = distinct_things(scene, rng, 2, 2)
    if things is None:
        return None
    first, second = sorted(things, key=lambda thing: thing.x)
    one, other = kind_colour_patterns([first, second])
    slots = {"a": one.words(), "b": other.words(), "p": SETTING_PHRASE[scene.setting], "x": ""}
    conditions: list[Condition] = [Exists(one), Exists(other)]
    if kind == "pair_in_place":
        conditions.append(InSetting(scene.setting))
    elif kind == "without":
        slots["x"] = rng.choice([each for each in KINDS if not Pattern(each).among(scene)])
        conditions.append(Absent(Pattern(slots["x"])))
    elif kind == "left":
        conditions = [Related(one, "left of", other)]
    return slots, {"references": (), "conditions": tuple(conditions)}


def _composed(pairs: Sequence[tuple[int, SceneQuery]], kind: str, rng: Random) -> _Found | None:
    fitting = [(place, slots, query) for place, query in pairs if (slots := _slots(kind, query)) is not None]
    if not fitting:
        return None
    place, slots, query = rng.choice(fitting)
    return slots, {"references": (place,), "conditions": query.conditions}


def _slots(kind: str, query: SceneQuery) -> dict[str, str] | None:
    """What a composed query of one edit names; None where it is of another kind."""
    changes = [step for step in query.steps if step.type != "Retention"]
    types, said = [step.type for step in changes], [step.condition for step in changes]
    if query.kind == "retention" or not said:
        return None
    first = said[0]
    if kind == "move" and types == ["Modification"] and isinstance(first, InSetting):
        return {"p": SETTING_PHRASE[first.name]}
    if kind == "add" and types == ["Addition"] and isinstance(first, Exists):
        return {"a": first.words()}
    if kind == "remove" and types == ["Removal"] and isinstance(first, Absent):
        return {"x": first.pattern.bare}
    if kind == "recolour" and types == ["Modification", "Removal"] and isinstance(first, Exists):
        gone = said[1]
        if isinstance(gone, Absent) and gone.pattern.kind == first.pattern.kind and gone.pattern.colour:
            return {"x": gone.pattern.bare, "c": str(first.pattern.colour)}
    return None


def _several(scenes: Sequence[Scene], kind: str, rng: Random) -> _Found | None:
    query = multi_query(scenes, kind, rng)
    if query is None:
        return None
    slots = {"x": query.named[0], "n": with_article(query.named[0]), "y": query.named[-1], "p": query.place}
    return slots, {"references": query.references, "conditions": query.conditions}


def wish_lines(
    scenes: Sequence[Scene],
    names: Sequence[str],
    composed: Sequence[tuple[int, SceneQuery]],
    wanted: int,
    rng: Random,
    file: str = "wordings",
) -> list[dict[str, object]]:
    """The lines of paraphrase.jsonl and its like, the groups in turn; fewer where the scenes allow no more."""
    lines: list[dict[str, object]] = []
    for number in range(wanted):
        attempts = (wish(scenes, composed, list(wordings(file))[number % 3], rng, file) for _ in range(20))
        found = next((each for each in attempts if each is not None), None)
        if found is None:
            continue
        references = [names[place] for place in found.references]
        pairs = zip(names, scenes, strict=True)
        fulfil = [name for name, scene in pairs if satisfies(scene, found.conditions)]
        targets = [name for name in fulfil if name not in references]
        if targets:
            lines.append(
                {
                    "qid": f"wish-{number:04d}",
                    "kind": found.kind,
                    "references": references,
                    "texts": list(found.texts),
                    "targets": targets,
                }
            )
    return lines
