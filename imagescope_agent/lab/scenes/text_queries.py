"""Text queries of five kinds, sampled from a scene that answers them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from imagescope_agent.lab.scenes.conditions import Absent, Count, Exists, InSetting, Pattern, Related, stands
from imagescope_agent.lab.scenes.language import SETTING_WORDS, join, reworded, search_prefix, with_article
from imagescope_agent.lab.scenes.queries import (
    QueryStep,
    SceneQuery,
    kind_colour_patterns,
    listing,
    with_setting,
)
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, RELATIONS, Scene, Thing

TEXT_KINDS = ("core", "detailed", "relational", "negated", "counting")
RELATION_WORDS = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath"),
}


def text_query(scene: Scene, kind: str, rng: Random) -> SceneQuery | None:
    """A query of `kind` for which `scene` is relevant; None if the scene allows none."""
    return _GENERATORS[kind](scene, rng)


def _query_text(phrases: Sequence[str], setting: str | None, rng: Random) -> str:
    text = search_prefix(rng) + join(phrases)
    if setting is None:
        return text
    where = rng.choice(SETTING_WORDS[setting])
    return rng.choice((f"{text} {where}", f"{text}, {where}"))


def distinct_things(scene: Scene, rng: Random, least: int, most: int) -> list[Thing] | None:
    """Between `least` and `most` things that differ in kind or colour, in random order."""
    by_pattern = {(thing.kind, thing.colour): thing for thing in scene.things}
    if len(by_pattern) < least:
        return None
    return rng.sample(list(by_pattern.values()), rng.randint(least, min(most, len(by_pattern))))


def _core(scene: Scene, rng: Random) -> SceneQuery | None:
    things = distinct_things(scene, rng, 2, 3)
    if things is None:
        return None
    patterns = kind_colour_patterns(things)
    named = listing(patterns)
    return SceneQuery(
        kind="core",
        text=_query_text([with_article(reworded(pattern, rng)) for pattern in patterns], None, rng),
        steps=tuple(QueryStep("Addition", Exists(pattern)) for pattern in patterns),
        core=named,
        enhanced=named,
        full=named,
    )


def _detailed(scene: Scene, rng: Random) -> SceneQuery | None:
    things = distinct_things(scene, rng, 2, 4)
    if things is None:
        return None
    mentioned = [Pattern(t.kind, t.colour, t.size if rng.random() < 0.6 else None) for t in things]
    setting = scene.setting if rng.random() < 0.8 else None
    steps = [QueryStep("Addition", Exists(pattern)) for pattern in mentioned]
    if setting:
        steps.append(QueryStep("Addition", InSetting(setting)))
    return SceneQuery(
        kind="detailed",
        text=_query_text([with_article(reworded(pattern, rng)) for pattern in mentioned], setting, rng),
        steps=tuple(steps),
        core=listing(kind_colour_patterns(things)),
        enhanced=listing(mentioned),
        full=with_setting(listing(mentioned), setting),
    )


def _relational(scene: Scene, rng: Random) -> SceneQuery | None:
    things = distinct_things(scene, rng, 2, 3)
    if things is None:
        return None
    first, second = things[:2]
    patterns = kind_colour_patterns(things)
    relation = rng.choice([name for name in RELATIONS if stands(first, name, second)])
    others = patterns[2:] if rng.random() < 0.5 else []
    setting = scene.setting if rng.random() < 0.3 else None
    word = rng.choice(RELATION_WORDS[relation])
    phrases = [with_article(reworded(pattern, rng)) for pattern in (*patterns[:2], *others)]
    related = Related(patterns[0], relation, patterns[1])
    steps = [QueryStep("Addition", related), *(QueryStep("Addition", Exists(pattern)) for pattern in others)]
    if setting:
        steps.append(QueryStep("Addition", InSetting(setting)))
    named = listing([*patterns[:2], *others])
    return SceneQuery(
        kind="relational",
        text=_query_text([f"{phrases[0]} {word} {phrases[1]}", *phrases[2:]], setting, rng),
        steps=tuple(steps),
        core=named,
        enhanced=with_setting(named, setting),
        full=with_setting(join([related.words(), *(pattern.words() for pattern in others)]), setting),
    )


def absent_pattern(scene: Scene, rng: Random) -> Pattern:
    """A pattern that matches nothing in the scene: a kind, or a kind in some colour."""
    while True:
        kind = rng.choice([t.kind for t in scene.things] if rng.random() < 0.3 else KINDS)
        pattern = Pattern(kind, rng.choice(COLOURS) if rng.random() < 0.5 else None)
        if not pattern.among(scene):
            return pattern


def _negated(scene: Scene, rng: Random) -> SceneQuery | None:
    things = distinct_things(scene, rng, 1, 3)
    if things is None:
        return None
    patterns, absent = kind_colour_patterns(things), absent_pattern(scene, rng)
    setting = scene.setting if rng.random() < 0.4 else None
    phrases = [with_article(reworded(pattern, rng)) for pattern in patterns]
    bare = reworded(absent, rng)
    no = rng.choice((f"without {with_article(bare)}", f"but no {bare}", f"with no {bare}", f"and no {bare}"))
    steps = [QueryStep("Addition", Exists(pattern)) for pattern in patterns]
    if setting:
        steps.append(QueryStep("Addition", InSetting(setting)))
    steps.append(QueryStep("Removal", Absent(absent)))
    named = listing(patterns)
    return SceneQuery(
        kind="negated",
        text=f"{_query_text(phrases, setting, rng)} {no}",
        steps=tuple(steps),
        core=named,
        enhanced=with_setting(named, setting),
        full=with_setting(named, setting),
    )


def _counting(scene: Scene, rng: Random) -> SceneQuery | None:
    base = rng.choice(scene.things)
    options = [Pattern(base.kind, base.colour), Pattern(base.kind), Pattern(None, base.colour), Pattern()]
    many = [pattern for pattern in options[:3] if len(pattern.among(scene)) > 1]
    pattern = rng.choice(many) if many and rng.random() < 0.8 else rng.choice(options)
    number = len(pattern.among(scene))
    others = [other for other in dict.fromkeys(kind_colour_patterns(scene.things)) if not pattern.matches(Thing(
        kind=str(other.kind), colour=str(other.colour), size="small"))]  # fmt: skip
    others = rng.sample(others, min(len(others), rng.randint(0, 2)))
    setting = scene.setting if rng.random() < 0.4 else None
    amount = pattern.words(number)
    if number == 1:
        amount = rng.choice(("just ", "only ", "exactly ")) + amount
    elif rng.random() < 0.5:
        amount = "exactly " + amount
    steps = [
        QueryStep("Addition", Count(pattern, number)),
        *(QueryStep("Addition", Exists(other)) for other in others),
    ]
    if setting:
        steps.append(QueryStep("Addition", InSetting(setting)))
    named = join([pattern.words(number), *(other.words() for other in others)])
    return SceneQuery(
        kind="counting",
        text=_query_text([amount, *(with_article(reworded(other, rng)) for other in others)], setting, rng),
        steps=tuple(steps),
        core=named,
        enhanced=named,
        full=with_setting(named, setting),
    )


_GENERATORS: dict[str, Callable[[Scene, Random], SceneQuery | None]] = {
    "core": _core,
    "detailed": _detailed,
    "relational": _relational,
    "negated": _negated,
    "counting": _counting,
}
