"""Balanced yes/no questions about a scene, per skill, with hard negatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from imagescope_agent.lab.scenes.conditions import (
    SETTING_PHRASE,
    Absent,
    Condition,
    Count,
    Exists,
    InSetting,
    Pattern,
    Related,
    stands,
)
from imagescope_agent.lab.scenes.language import SETTING_WORDS
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, RELATIONS, SETTINGS, SIZES, Scene

SKILLS = ("thing", "size", "setting", "relation", "count", "negation")
_WEIGHTS = (13, 15, 7, 25, 30, 10)
_OTHER_SIDE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


@dataclass(frozen=True, kw_only=True)
class SceneQuestion:
    """A question, its true answer, the skill it tests, and the patterns it names in order."""

    text: str
    answer: bool
    skill: str
    named: tuple[Pattern, ...] = ()


def random_question(scene: Scene, rng: Random, skill: str | None = None) -> SceneQuestion:
    """A random question about `scene`; yes and no are equally likely within every skill."""
    skill = skill or rng.choices(SKILLS, weights=_WEIGHTS)[0]
    wanted = rng.random() < 0.5
    for _ in range(50):
        made = _GENERATORS[skill](scene, wanted, rng)
        if made is not None and made.answer == wanted:
            return made
    return random_question(scene, rng, "thing")  # the scene has nothing to relate


def near_miss_pattern(scene: Scene, rng: Random) -> Pattern:
    """A pattern that matches nothing in the scene, mostly a kind that is there in the colour of another thing."""
    while True:
        kind = rng.choice([t.kind for t in scene.things] if rng.random() < 0.6 else KINDS)
        colour = rng.choice([t.colour for t in scene.things] if rng.random() < 0.6 else COLOURS)
        pattern = rng.choice(
            (Pattern(kind, colour), Pattern(kind, colour), Pattern(kind), Pattern(None, colour))
        )
        if not pattern.among(scene):
            return pattern


def _random_pattern(scene: Scene, rng: Random) -> Pattern:
    thing = rng.choice(scene.things)
    full = Pattern(thing.kind, thing.colour)
    return rng.choices((full, Pattern(thing.kind), Pattern(None, thing.colour)), weights=(8, 2, 1))[0]


def _question(condition: Condition, scene: Scene, skill: str, text: str, *named: Pattern) -> SceneQuestion:
    return SceneQuestion(text=text, answer=condition.holds(scene), skill=skill, named=named)


def _thing(scene: Scene, wanted: bool, rng: Random) -> SceneQuestion | None:
    pattern = _random_pattern(scene, rng) if wanted else near_miss_pattern(scene, rng)
    words = pattern.words()
    text = Exists(pattern).question()
    if rng.random() < 0.35:
        text = rng.choice((f"Can you see {words}?", f"Does the picture show {words}?", f"Is {words} in the picture?",
                           f"Do you see {words} here?", f"Is there {words} in this image?"))  # fmt: skip
    return _question(Exists(pattern), scene, "thing", text, pattern)


def _size(scene: Scene, wanted: bool, rng: Random) -> SceneQuestion | None:
    thing = rng.choice(scene.things)
    size = thing.size if wanted or rng.random() < 0.2 else next(s for s in SIZES if s != thing.size)
    colour = thing.colour
    if not wanted and size == thing.size:
        colour = rng.choice(COLOURS)
    pattern = Pattern(thing.kind, colour if rng.random() < 0.85 else None, size)
    without_size = Pattern(pattern.kind, pattern.colour)
    if len(without_size.among(scene)) == 1 and rng.random() < 0.3:
        text = rng.choice(
            (f"Is the {without_size.bare} {size}?", f"Is the {without_size.bare} a {size} one?")
        )
    else:
        text = Exists(pattern).question()
        if rng.random() < 0.25:
            text = rng.choice(
                (f"Can you see {pattern.words()}?", f"Does the picture show {pattern.words()}?")
            )
    return _question(Exists(pattern), scene, "size", text, pattern)


def _setting(scene: Scene, wanted: bool, rng: Random) -> SceneQuestion | None:
    name = scene.setting if wanted else rng.choice(SETTINGS)
    text = InSetting(name).question()
    if rng.random() < 0.4:
        where = rng.choice(SETTING_WORDS[name])
        text = rng.choice((f"Is it {where}?", f"Is this {where}?", f"Is the picture {SETTING_PHRASE[name]}?"))
    return _question(InSetting(name), scene, "setting", text)


def _relation(scene: Scene, wanted: bool, rng: Random) -> SceneQuestion | None:
    if len(scene.things) < 2:
        return None
    one, other = rng.sample(scene.things, 2)
    relation = rng.choice([name for name in RELATIONS if stands(one, name, other)])
    patterns = [Pattern(t.kind, t.colour if rng.random() < 0.85 else None) for t in (one, other)]
    if not wanted:
        if rng.random() < 0.75:
            relation = _OTHER_SIDE[relation]
        else:
            patterns[rng.randrange(2)] = near_miss_pattern(scene, rng)
    first, second = patterns
    text = Related(first, relation, second).question()
    if rng.random() < 0.4:
        side = f"to the {relation}" if relation.endswith("of") else relation
        text = rng.choice((f"Is the {first.bare} {relation} the {second.bare}?", f"Is the {first.bare} {side} the "
                           f"{second.bare}?", f"Is there {first.words()} {side} {second.words()}?"))  # fmt: skip
    return _question(Related(first, relation, second), scene, "relation", text, first, second)


def _count(scene: Scene, wanted: bool, rng: Random) -> SceneQuestion | None:
    if not wanted and rng.random() < 0.35:
        pattern, number = near_miss_pattern(scene, rng), rng.choice((1, 1, 1, 2))
    else:
        pattern, number = _counted(scene, wanted, rng)
    condition = Count(pattern, min(number, 6))
    text = condition.question()
    if rng.random() < 0.3:
        text = rng.choice((text.replace("there exactly", "there"), text.replace("exactly", "just")))
    return _question(condition, scene, "count", text, pattern)


def _counted(scene: Scene, wanted: bool, rng: Random) -> tuple[Pattern, int]:
    """A pattern that is there, and how often, or how often it is not."""
    # no set: its order differs between processes
    candidates = dict.fromkeys(_random_pattern(scene, rng) for _ in range(4))
    many = [pattern for pattern in candidates if len(pattern.among(scene)) > 1]
    pattern = (
        rng.choice(many)
        if many and rng.random() < 0.7
        else rng.choice((_random_pattern(scene, rng), Pattern()))
    )
    true = len(pattern.among(scene))
    return pattern, true if wanted else max(1, true + rng.choice((-1, 1, 1, 2)))


def _negation(scene: Scene, wanted: bool, rng: Random) -> SceneQuestion | None:
    pattern = near_miss_pattern(scene, rng) if wanted else _random_pattern(scene, rng)
    bare, words = pattern.bare, pattern.words()
    text = rng.choice((f"Is there no {bare}?", f"Is the picture without {words}?", f"Is {words} missing?",
                       f"Is it true that there is no {bare}?", f"Is this a picture with no {bare}?"))  # fmt: skip
    return _question(Absent(pattern), scene, "negation", text, pattern)


_GENERATORS: dict[str, Callable[[Scene, bool, Random], SceneQuestion | None]] = {
    "thing": _thing,
    "size": _size,
    "setting": _setting,
    "relation": _relation,
    "count": _count,
    "negation": _negation,
}
