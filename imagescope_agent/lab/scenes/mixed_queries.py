"""Requests as people write them: relations, numbers, sizes, places and what must not be there in one sentence.

Trained on beside the five kinds that are measured, so that their combinations are understood too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from imagescope_agent.lab.scenes.conditions import (
    Absent,
    Condition,
    Count,
    Exists,
    Pattern,
    Related,
    Setting,
    stands,
)
from imagescope_agent.lab.scenes.edits import Step
from imagescope_agent.lab.scenes.language import (
    SETTING_WORDS,
    described,
    join,
    opening,
    reworded,
    with_article,
)
from imagescope_agent.lab.scenes.queries import Query, listing, with_place
from imagescope_agent.lab.scenes.text_queries import RELATION_WORDS, TEXT_KINDS, distinct, missing, text_query
from imagescope_agent.lab.scenes.world import RELATIONS, Scene, Thing


@dataclass(frozen=True, kw_only=True)
class _Clause:
    """One part of the sentence, what it asks for, and how it is named at the three grains."""

    phrase: str
    condition: Condition
    core: tuple[str, ...]
    enhanced: tuple[str, ...]

    @property
    def full(self) -> str:
        return self.condition.words().removeprefix("exactly ")


def any_query(scene: Scene, rng: Random, *, mixed: float = 0.4) -> Query:
    """A text query that `scene` answers: of a measured kind, a caption, or with chance `mixed` a combination."""
    while True:
        if rng.random() < 0.15:
            return caption_query(scene, rng)
        combined = rng.random() < mixed
        query = mixed_query(scene, rng) if combined else text_query(scene, rng.choice(TEXT_KINDS), rng)
        if query is not None:
            return query


def caption_query(scene: Scene, rng: Random) -> Query:
    """A caption as the query: what it names, each once, and the setting where it is told."""
    text, looks, setting = described(scene, rng, keep=rng.choice((0.5, 0.5, 0.8)))
    looks = list(dict.fromkeys(looks))
    steps = [Step("Addition", Exists(look)) for look in looks]
    steps += [Step("Addition", Setting(setting))] if setting else []
    return Query(
        kind="caption",
        text=text,
        steps=tuple(steps),
        core=listing([replace(look, size=None) for look in looks]),
        enhanced=listing(looks),
        full=with_place(listing(looks), setting),
    )


def mixed_query(scene: Scene, rng: Random) -> Query | None:
    """A query that `scene` answers, or None where it has too few different things."""
    things = distinct(scene, rng, 1, 4)
    if things is None:
        return None
    clauses = []
    if len(things) > 1 and rng.random() < 0.5:
        clauses.append(_related(things.pop(), things.pop(), rng))
    clauses += [_there(thing, rng) for thing in things]
    if rng.random() < 0.35:
        clauses.append(_counted(scene, rng))
    rng.shuffle(clauses)
    setting = scene.setting if rng.random() < 0.5 else None
    absent = [missing(scene, rng) for _ in range(rng.choice((0, 1, 1, 2)))]
    steps = [Step("Addition", clause.condition) for clause in clauses]
    steps += [Step("Addition", Setting(setting))] if setting else []
    steps += [Step("Removal", Absent(pattern)) for pattern in dict.fromkeys(absent)]
    return Query(
        kind="mixed",
        text=_sentence([clause.phrase for clause in clauses], setting, list(dict.fromkeys(absent)), rng),
        steps=tuple(steps),
        core=join([name for clause in clauses for name in clause.core]),
        enhanced=with_place(join([name for clause in clauses for name in clause.enhanced]), setting),
        full=with_place(join([clause.full for clause in clauses]), setting),
    )


def _sentence(phrases: list[str], setting: str | None, absent: list[Pattern], rng: Random) -> str:
    text = opening(rng) + join(phrases)
    if setting is not None:
        where = rng.choice(SETTING_WORDS[setting])
        text = rng.choice((f"{text} {where}", f"{text}, {where}", f"{where}, {text}"))
    for number, pattern in enumerate(absent):
        bare = reworded(pattern, rng)
        start = (
            rng.choice((", but no", " but no", " with no", ", no", " without any"))
            if number == 0
            else " and no"
        )
        text += f"{start} {bare}"
    return text


def _related(first: Thing, second: Thing, rng: Random) -> _Clause:
    one, other = (Pattern(t.kind, t.colour if rng.random() < 0.8 else None) for t in (first, second))
    relation = rng.choice([name for name in RELATIONS if stands(first, name, second)])
    said = [with_article(reworded(look, rng)) for look in (one, other)]
    named = one.words(), other.words()
    phrase = f"{said[0]} {rng.choice(RELATION_WORDS[relation])} {said[1]}"
    return _Clause(phrase=phrase, condition=Related(one, relation, other), core=named, enhanced=named)


def _there(thing: Thing, rng: Random) -> _Clause:
    colour = thing.colour if rng.random() < 0.85 else None
    look = Pattern(thing.kind, colour, thing.size if rng.random() < 0.35 else None)
    phrase = with_article(reworded(look, rng))
    plain = Pattern(thing.kind, colour).words()
    return _Clause(phrase=phrase, condition=Exists(look), core=(plain,), enhanced=(look.words(),))


def _counted(scene: Scene, rng: Random) -> _Clause:
    base = rng.choice(scene.things)
    pattern = rng.choice(
        (Pattern(base.kind, base.colour), Pattern(base.kind), Pattern(None, base.colour), Pattern())
    )
    number = len(pattern.among(scene))
    words = pattern.words(number)
    phrase = f"exactly {words}" if number == 1 or rng.random() < 0.5 else words
    return _Clause(phrase=phrase, condition=Count(pattern, number), core=(words,), enhanced=(words,))
