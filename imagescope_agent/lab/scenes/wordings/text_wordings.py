"""Text queries in many sentence frames: the things, relations, counts, settings and exclusions of mixed queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from imagescope_agent.lab.scenes.conditions import Absent, InSetting, Pattern, Related, stands
from imagescope_agent.lab.scenes.language import join, reworded, with_article
from imagescope_agent.lab.scenes.mixed_queries import Clause, count_clause, exists_clause
from imagescope_agent.lab.scenes.queries import QueryStep, SceneQuery, with_setting
from imagescope_agent.lab.scenes.text_queries import RELATION_WORDS, absent_pattern, distinct_things
from imagescope_agent.lab.scenes.wordings.frames import frame
from imagescope_agent.lab.scenes.wordings.spoken import place_words, spoken, thing_words
from imagescope_agent.lab.scenes.world import RELATIONS, Scene, Thing


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
    if rng.random() < 0.15:
        clauses.append(count_clause(scene, rng))
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
    text = frame("text", "say", rng, unseen=unseen).format(t=told)
    if setting is not None:
        where = place_words(setting, rng, unseen)
        text = frame("text", "place", rng, unseen=unseen).format(s=text, p=where)
    for number, pattern in enumerate(absent):
        bare = reworded(pattern, rng)
        if number:
            text += rng.choice((f" and no {bare}", f", nor {with_article(bare)}", f", no {bare} either"))
        else:
            text = excluded(text, bare, rng, unseen)
    return spoken(text, rng, unseen)


def excluded(text: str, bare: str, rng: Random, unseen: bool = False) -> str:
    """The text with the words that a thing must not be there."""
    return frame("text", "absent", rng, unseen=unseen).format(s=text, x=bare, n=with_article(bare))


def _thing(thing: Thing, rng: Random, unseen: bool) -> Clause:
    clause = exists_clause(thing, rng)
    pattern = clause.condition.pattern  # type: ignore[attr-defined]
    return replace(clause, phrase=thing_words(pattern, rng, unseen, other_kinds=True))


def _related(first: Thing, second: Thing, rng: Random, unseen: bool) -> Clause:
    patterns = [Pattern(t.kind, t.colour if rng.random() < 0.8 else None) for t in (first, second)]
    relation = rng.choice([name for name in RELATIONS if stands(first, name, second)])
    one, other = (thing_words(pattern, rng, unseen, other_kinds=True) for pattern in patterns)
    kind = "side" if relation in ("left of", "right of") else "level"
    word = relation.split()[0] if kind == "side" else rng.choice(RELATION_WORDS[relation])
    named = patterns[0].words(), patterns[1].words()
    return Clause(
        phrase=frame("text", kind, rng, unseen=unseen).format(a=one, b=other, w=word),
        condition=Related(patterns[0], relation, patterns[1]),
        core=named,
        enhanced=named,
    )
