"""Wishes in six wordings each, written by hand (`wordings.toml`), that no training reads."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random

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

WORDINGS = 6


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
def wordings() -> dict[str, dict[str, list[str]]]:
    """The wordings by group and kind, with slots."""
    place = files("imagescope_agent.lab.scenes.probes") / "wordings.toml"
    return tomllib.loads(place.read_text(encoding="utf-8"))


def wish(
    scenes: Sequence[Scene], composed: Sequence[tuple[int, SceneQuery]], group: str, rng: Random
) -> Wish | None:
    """A random wish of a group ("text", "composed", "several"); None where the scenes allow none."""
    kinds = list(wordings()[group])
    kind = rng.choice(kinds)
    if group == "text":
        return _text(scenes, kind, rng)
    return _composed(composed, kind, rng) if group == "composed" else _several(scenes, kind, rng)


def _worded(group: str, kind: str, slots: dict[str, str], **more: object) -> Wish:
    texts = tuple(each.format(**slots) for each in wordings()[group][kind])
    return Wish(kind=f"{group}, {kind.replace('_', ' ')}", texts=texts, **more)  # type: ignore[arg-type]


def _text(scenes: Sequence[Scene], kind: str, rng: Random) -> Wish | None:
    scene = rng.choice(scenes)
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
    return _worded("text", kind, slots, references=(), conditions=tuple(conditions))


def _composed(pairs: Sequence[tuple[int, SceneQuery]], kind: str, rng: Random) -> Wish | None:
    fitting = [(place, slots, query) for place, query in pairs if (slots := _slots(kind, query)) is not None]
    if not fitting:
        return None
    place, slots, query = rng.choice(fitting)
    return _worded("composed", kind, slots, references=(place,), conditions=query.conditions)


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


def _several(scenes: Sequence[Scene], kind: str, rng: Random) -> Wish | None:
    query = multi_query(scenes, kind, rng)
    if query is None:
        return None
    slots = {"x": query.named[0], "n": with_article(query.named[0]), "y": query.named[-1], "p": query.place}
    return _worded("several", kind, slots, references=query.references, conditions=query.conditions)


def wish_lines(
    scenes: Sequence[Scene],
    names: Sequence[str],
    composed: Sequence[tuple[int, SceneQuery]],
    wanted: int,
    rng: Random,
) -> list[dict[str, object]]:
    """The lines of paraphrase.jsonl, the groups in turn; fewer than wanted where the scenes allow no more."""
    lines: list[dict[str, object]] = []
    for number in range(wanted):
        attempts = (wish(scenes, composed, list(wordings())[number % 3], rng) for _ in range(20))
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
