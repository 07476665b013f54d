"""Text queries of five kinds, and how people word them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from imagescope_agent.lab.scenes.conditions import Absent, Count, Exists, Pattern, Related, Setting, stands
from imagescope_agent.lab.scenes.edits import Step
from imagescope_agent.lab.scenes.language import SETTING_WORDS, join, opening, reworded, with_article
from imagescope_agent.lab.scenes.queries import Query, listing, looks_of, with_place
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, RELATIONS, Scene, Thing

TEXT_KINDS = ("core", "detailed", "relational", "negated", "counting")
RELATION_WORDS = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath"),
}


def text_query(scene: Scene, kind: str, rng: Random) -> Query | None:
    """A query of `kind` that `scene` answers, or None where the scene offers none."""
    return _TEXT[kind](scene, rng)


def _text(phrases: Sequence[str], setting: str | None, rng: Random) -> str:
    text = opening(rng) + join(phrases)
    if setting is None:
        return text
    where = rng.choice(SETTING_WORDS[setting])
    return rng.choice((f"{text} {where}", f"{text}, {where}"))


def distinct(scene: Scene, rng: Random, least: int, most: int) -> list[Thing] | None:
    """Between `least` and `most` things of different kind and colour, in any order."""
    by_look = {(thing.kind, thing.colour): thing for thing in scene.things}
    if len(by_look) < least:
        return None
    return rng.sample(list(by_look.values()), rng.randint(least, min(most, len(by_look))))


def _core(scene: Scene, rng: Random) -> Query | None:
    things = distinct(scene, rng, 2, 3)
    if things is None:
        return None
    looks = looks_of(things)
    named = listing(looks)
    return Query(
        kind="core",
        text=_text([with_article(reworded(look, rng)) for look in looks], None, rng),
        steps=tuple(Step("Addition", Exists(look)) for look in looks),
        core=named,
        enhanced=named,
        full=named,
    )


def _detailed(scene: Scene, rng: Random) -> Query | None:
    things = distinct(scene, rng, 2, 4)
    if things is None:
        return None
    said = [Pattern(t.kind, t.colour, t.size if rng.random() < 0.6 else None) for t in things]
    setting = scene.setting if rng.random() < 0.8 else None
    steps = [Step("Addition", Exists(pattern)) for pattern in said]
    if setting:
        steps.append(Step("Addition", Setting(setting)))
    return Query(
        kind="detailed",
        text=_text([with_article(reworded(pattern, rng)) for pattern in said], setting, rng),
        steps=tuple(steps),
        core=listing(looks_of(things)),
        enhanced=listing(said),
        full=with_place(listing(said), setting),
    )


def _relational(scene: Scene, rng: Random) -> Query | None:
    things = distinct(scene, rng, 2, 3)
    if things is None:
        return None
    first, second = things[:2]
    looks = looks_of(things)
    relation = rng.choice([name for name in RELATIONS if stands(first, name, second)])
    others = looks[2:] if rng.random() < 0.5 else []
    setting = scene.setting if rng.random() < 0.3 else None
    word = rng.choice(RELATION_WORDS[relation])
    phrases = [with_article(reworded(look, rng)) for look in (*looks[:2], *others)]
    related = Related(looks[0], relation, looks[1])
    steps = [Step("Addition", related), *(Step("Addition", Exists(look)) for look in others)]
    if setting:
        steps.append(Step("Addition", Setting(setting)))
    named = listing([*looks[:2], *others])
    return Query(
        kind="relational",
        text=_text([f"{phrases[0]} {word} {phrases[1]}", *phrases[2:]], setting, rng),
        steps=tuple(steps),
        core=named,
        enhanced=with_place(named, setting),
        full=with_place(join([related.words(), *(look.words() for look in others)]), setting),
    )


def missing(scene: Scene, rng: Random) -> Pattern:
    """Something that is not there but might be: a kind, or a known kind in another colour."""
    while True:
        kind = rng.choice([t.kind for t in scene.things] if rng.random() < 0.3 else KINDS)
        pattern = Pattern(kind, rng.choice(COLOURS) if rng.random() < 0.5 else None)
        if not pattern.among(scene):
            return pattern


def _negated(scene: Scene, rng: Random) -> Query | None:
    things = distinct(scene, rng, 1, 3)
    if things is None:
        return None
    looks, absent = looks_of(things), missing(scene, rng)
    setting = scene.setting if rng.random() < 0.4 else None
    phrases = [with_article(reworded(look, rng)) for look in looks]
    bare = reworded(absent, rng)
    no = rng.choice((f"without {with_article(bare)}", f"but no {bare}", f"with no {bare}", f"and no {bare}"))
    steps = [Step("Addition", Exists(look)) for look in looks]
    if setting:
        steps.append(Step("Addition", Setting(setting)))
    steps.append(Step("Removal", Absent(absent)))
    named = listing(looks)
    return Query(
        kind="negated",
        text=f"{_text(phrases, setting, rng)} {no}",
        steps=tuple(steps),
        core=named,
        enhanced=with_place(named, setting),
        full=with_place(named, setting),
    )


def _counting(scene: Scene, rng: Random) -> Query | None:
    base = rng.choice(scene.things)
    shapes = [Pattern(base.kind, base.colour), Pattern(base.kind), Pattern(None, base.colour), Pattern()]
    many = [pattern for pattern in shapes[:3] if len(pattern.among(scene)) > 1]
    pattern = rng.choice(many) if many and rng.random() < 0.8 else rng.choice(shapes)
    number = len(pattern.among(scene))
    others = [look for look in dict.fromkeys(looks_of(scene.things)) if not pattern.matches(Thing(
        kind=str(look.kind), colour=str(look.colour), size="small"))]  # fmt: skip
    others = rng.sample(others, min(len(others), rng.randint(0, 2)))
    setting = scene.setting if rng.random() < 0.4 else None
    amount = pattern.words(number)
    if number == 1:
        amount = rng.choice(("just ", "only ", "exactly ")) + amount
    elif rng.random() < 0.5:
        amount = "exactly " + amount
    steps = [Step("Addition", Count(pattern, number)), *(Step("Addition", Exists(look)) for look in others)]
    if setting:
        steps.append(Step("Addition", Setting(setting)))
    named = join([pattern.words(number), *(look.words() for look in others)])
    return Query(
        kind="counting",
        text=_text([amount, *(with_article(reworded(look, rng)) for look in others)], setting, rng),
        steps=tuple(steps),
        core=named,
        enhanced=named,
        full=with_place(named, setting),
    )


_TEXT: dict[str, Callable[[Scene, Random], Query | None]] = {
    "core": _core,
    "detailed": _detailed,
    "relational": _relational,
    "negated": _negated,
    "counting": _counting,
}
