"""Text queries in many sentence frames: the things, relations, counts, settings and exclusions of mixed queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from imagescope_agent.lab.scenes.conditions import NUMBERS, Absent, Count, InSetting, Pattern, Related, stands
from imagescope_agent.lab.scenes.language import join, plural, reworded, with_article
from imagescope_agent.lab.scenes.mixed_queries import Clause, count_clause, exists_clause
from imagescope_agent.lab.scenes.queries import QueryStep, SceneQuery, with_setting
from imagescope_agent.lab.scenes.text_queries import absent_pattern, distinct_things
from imagescope_agent.lab.scenes.wordings.frames import frame, frames
from imagescope_agent.lab.scenes.wordings.spoken import place_words, spoken, thing_words
from imagescope_agent.lab.scenes.world import RELATIONS, Scene, Thing

#: By relation: the opposite one; where the first thing is, where the other, and how they compare.
_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
_ENDS = {"above": ("top", "bottom", "higher"), "below": ("bottom", "top", "lower")}


def worded_text_query(scene: Scene, rng: Random, *, unseen: bool = False) -> SceneQuery | None:
    """A text query that `scene` answers, in a random frame; `unseen`: one of those held out.

    Its steps follow the words, then the setting, then what must not be there. None if there are too few things.
    """
    things = distinct_things(scene, rng, 1, 4)
    if things is None:
        return None
    clauses: list[Clause] = []
    if len(things) > 1 and rng.random() < 0.4:
        clauses.append(_related(things.pop(), things.pop(), rng, unseen))
    clauses += [_thing(thing, rng, unseen) for thing in things]
    if rng.random() < 0.2:
        clauses.append(_counted(scene, rng, unseen))
    rng.shuffle(clauses)
    setting = scene.setting if rng.random() < 0.5 else None
    absent = list(dict.fromkeys(absent_pattern(scene, rng) for _ in range(rng.choice((0, 0, 1, 1, 2)))))
    steps = [QueryStep("Addition", clause.condition) for clause in clauses]
    steps += [QueryStep("Addition", InSetting(setting))] if setting else []
    steps += [QueryStep("Removal", Absent(pattern)) for pattern in absent]
    return SceneQuery(
        kind="mixed",
        text=_sentence([clause.phrase for clause in clauses], setting, absent, rng, unseen),
        steps=tuple(steps),
        core=join([name for clause in clauses for name in clause.core]),
        enhanced=with_setting(join([name for clause in clauses for name in clause.enhanced]), setting),
        full=with_setting(join([clause.full for clause in clauses]), setting),
    )


def _sentence(
    phrases: Sequence[str], setting: str | None, absent: Sequence[Pattern], rng: Random, unseen: bool
) -> str:
    told = join(phrases)
    if len(phrases) > 1 and rng.random() < 0.6:
        *before, last = phrases
        told = frame("text", "link", rng, unseen=unseen).format(a=", ".join(before), b=last)
    absent = list(absent)
    if absent and rng.random() < 0.25:
        bare = reworded(absent.pop(0), rng)
        text = frame("text", "say_without", rng, unseen=unseen).format(t=told, **_absent_slots(bare))
    else:
        text = frame("text", "say", rng, unseen=unseen).format(t=told)
    if setting is not None:
        where = place_words(setting, rng, unseen)
        text = frame("text", "place", rng, unseen=unseen).format(s=text, p=where)
    named = [reworded(pattern, rng) for pattern in absent]
    if len(named) == 2 and rng.random() < 0.4:
        one, other = named
        slots = _absent_slots(one) | {"y": other, "o": with_article(other), "l": plural(other)}
        text = frame("text", "neither", rng, unseen=unseen).format(s=text, **slots)
    else:
        for number, bare in enumerate(named):
            kind = "absent_too" if number else "absent"
            text = frame("text", kind, rng, unseen=unseen).format(s=text, **_absent_slots(bare))
    return spoken(text, rng, unseen)


def _absent_slots(bare: str) -> dict[str, str]:
    return {"x": bare, "n": with_article(bare), "m": plural(bare)}


def excluded(text: str, bare: str, rng: Random, unseen: bool = False) -> str:
    """The text and after it the words that a thing must not be there."""
    after = [each for each in frames("text", "absent", unseen=unseen) if each.startswith("{s}")]
    return rng.choice(after).format(s=text, **_absent_slots(bare))


def _thing(thing: Thing, rng: Random, unseen: bool) -> Clause:
    clause = exists_clause(thing, rng)
    pattern = clause.condition.pattern  # type: ignore[attr-defined]
    return replace(clause, phrase=thing_words(pattern, rng, unseen, other_kinds=True))


def _counted(scene: Scene, rng: Random, unseen: bool) -> Clause:
    clause = count_clause(scene, rng)
    condition = clause.condition
    assert isinstance(condition, Count)
    number, bare = condition.number, condition.pattern.bare
    if condition.pattern.kind is None and rng.random() < 0.4:
        bare = bare.removesuffix("thing") + rng.choice(("object", "item"))
    kind = {1: "one", 2: rng.choice(("two", "count", "count"))}.get(number, "count")
    told = NUMBERS[number] if rng.random() < 0.75 else str(number)
    slots = {"d": told, "x": bare, "m": plural(bare), "n": with_article(bare)}
    return replace(clause, phrase=frame("text", kind, rng, unseen=unseen).format(**slots))


def _related(first: Thing, second: Thing, rng: Random, unseen: bool) -> Clause:
    patterns = [Pattern(t.kind, t.colour if rng.random() < 0.8 else None) for t in (first, second)]
    relation = rng.choice([name for name in RELATIONS if stands(first, name, second)])
    one, other = (thing_words(pattern, rng, unseen, other_kinds=True) for pattern in patterns)
    kind = "side" if relation in ("left of", "right of") else "level"
    named = patterns[0].words(), patterns[1].words()
    return Clause(
        phrase=frame("text", kind, rng, unseen=unseen).format(
            a=one, b=other, **_direction(relation, rng, unseen)
        ),
        condition=Related(patterns[0], relation, patterns[1]),
        core=named,
        enhanced=named,
    )


def _direction(relation: str, rng: Random, unseen: bool) -> dict[str, str]:
    """Words of a relation for the frames of two things: {w}, the opposite {o}; {e} and {f}: ends of the picture."""
    opposite = _OPPOSITE[relation]
    if relation not in _ENDS:
        return {"w": relation.split()[0], "o": opposite.split()[0]}
    end, other_end, comparative = _ENDS[relation]
    words = {"w": relation, "o": opposite}
    named = {slot: frame("relations", name, rng, unseen=unseen) for slot, name in words.items()}
    return named | {"e": end, "f": other_end, "h": comparative}
