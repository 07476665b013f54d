"""Mixed text queries: relations, counts, sizes, settings and negation combined in one sentence.

Training data beside the five kinds that are evaluated, so that the models generalise to combinations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from imagescope_agent.lab.scenes.conditions import (
    Absent,
    Condition,
    Count,
    Exists,
    InSetting,
    Pattern,
    Related,
    stands,
)
from imagescope_agent.lab.scenes.language import (
    SETTING_WORDS,
    free_caption_parts,
    join,
    reworded,
    search_prefix,
    with_article,
)
from imagescope_agent.lab.scenes.queries import QueryStep, SceneQuery, listing, with_setting
from imagescope_agent.lab.scenes.text_queries import (
    RELATION_WORDS,
    TEXT_KINDS,
    absent_pattern,
    distinct_things,
    text_query,
)
from imagescope_agent.lab.scenes.world import RELATIONS, Scene, Thing


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One phrase of the query, its condition, and its wording at the three levels of detail."""

    phrase: str
    condition: Condition
    core: tuple[str, ...]
    enhanced: tuple[str, ...]

    @property
    def full(self) -> str:
        """Its wording with all detail."""
        return self.condition.words().removeprefix("exactly ")


def any_query(scene: Scene, rng: Random, *, mixed: float = 0.4) -> SceneQuery:
    """A text query that `scene` answers: of the five kinds, a caption, or with probability `mixed` a combination."""
    while True:
        if rng.random() < 0.15:
            return caption_query(scene, rng)
        combined = rng.random() < mixed
        query = mixed_query(scene, rng) if combined else text_query(scene, rng.choice(TEXT_KINDS), rng)
        if query is not None:
            return query


def caption_query(scene: Scene, rng: Random) -> SceneQuery:
    """A caption used as the query: each pattern it names, once, and the setting if it is named."""
    text, patterns, setting = free_caption_parts(scene, rng, keep=rng.choice((0.5, 0.5, 0.8)))
    patterns = list(dict.fromkeys(patterns))
    steps = [QueryStep("Addition", Exists(pattern)) for pattern in patterns]
    steps += [QueryStep("Addition", InSetting(setting))] if setting else []
    return SceneQuery(
        kind="caption",
        text=text,
        steps=tuple(steps),
        core=listing([replace(pattern, size=None) for pattern in patterns]),
        enhanced=listing(patterns),
        full=with_setting(listing(patterns), setting),
    )


def mixed_query(scene: Scene, rng: Random) -> SceneQuery | None:
    """A combined query that `scene` answers; None if it has too few different things."""
    things = distinct_things(scene, rng, 1, 4)
    if things is None:
        return None
    clauses = []
    if len(things) > 1 and rng.random() < 0.5:
        clauses.append(_related(things.pop(), things.pop(), rng))
    clauses += [exists_clause(thing, rng) for thing in things]
    if rng.random() < 0.35:
        clauses.append(count_clause(scene, rng))
    rng.shuffle(clauses)
    setting = scene.setting if rng.random() < 0.5 else None
    absent = [absent_pattern(scene, rng) for _ in range(rng.choice((0, 1, 1, 2)))]
    steps = [QueryStep("Addition", clause.condition) for clause in clauses]
    steps += [QueryStep("Addition", InSetting(setting))] if setting else []
    steps += [QueryStep("Removal", Absent(pattern)) for pattern in dict.fromkeys(absent)]
    return SceneQuery(
        kind="mixed",
        text=_sentence([clause.phrase for clause in clauses], setting, list(dict.fromkeys(absent)), rng),
        steps=tuple(steps),
        core=join([name for clause in clauses for name in clause.core]),
        enhanced=with_setting(join([name for clause in clauses for name in clause.enhanced]), setting),
        full=with_setting(join([clause.full for clause in clauses]), setting),
    )


def _sentence(phrases: list[str], setting: str | None, absent: list[Pattern], rng: Random) -> str:
    text = search_prefix(rng) + join(phrases)
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


def _related(first: Thing, second: Thing, rng: Random) -> Clause:
    first_pattern, second_pattern = (
        Pattern(t.kind, t.colour if rng.random() < 0.8 else None) for t in (first, second)
    )
    relation = rng.choice([name for name in RELATIONS if stands(first, name, second)])
    phrases = [with_article(reworded(pattern, rng)) for pattern in (first_pattern, second_pattern)]
    named = first_pattern.words(), second_pattern.words()
    phrase = f"{phrases[0]} {rng.choice(RELATION_WORDS[relation])} {phrases[1]}"
    return Clause(
        phrase=phrase, condition=Related(first_pattern, relation, second_pattern), core=named, enhanced=named
    )


def exists_clause(thing: Thing, rng: Random) -> Clause:
    """A thing with some of its details."""
    colour = thing.colour if rng.random() < 0.85 else None
    pattern = Pattern(thing.kind, colour, thing.size if rng.random() < 0.35 else None)
    phrase = with_article(reworded(pattern, rng))
    plain = Pattern(thing.kind, colour).words()
    return Clause(phrase=phrase, condition=Exists(pattern), core=(plain,), enhanced=(pattern.words(),))


def count_clause(scene: Scene, rng: Random) -> Clause:
    """How many things of a kind, of a colour or at all the scene shows."""
    base = rng.choice(scene.things)
    pattern = rng.choice(
        (Pattern(base.kind, base.colour), Pattern(base.kind), Pattern(None, base.colour), Pattern())
    )
    number = len(pattern.among(scene))
    words = pattern.words(number)
    phrase = f"exactly {words}" if number == 1 or rng.random() < 0.5 else words
    return Clause(phrase=phrase, condition=Count(pattern, number), core=(words,), enhanced=(words,))
