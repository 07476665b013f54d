"""Training turns about candidates: pointwise grades, multiple choice, listwise order and grades, CoTRR's chain.

Each candidate is followed by the text of the query, so that the conditions are checked right after the image and the
answer only has to aggregate the checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

from imagescope_agent.judges.base import said_after
from imagescope_agent.judges.position_debiasing import labelled, presentations
from imagescope_agent.lab.scenes.conditions import PLURALS, Absent, Condition, Count, Exists, Pattern, Related
from imagescope_agent.lab.scenes.language import SYNONYMS, caption
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.lab.training.data.dialogue_turns import describe_steps, visible_conditions
from imagescope_agent.lab.training.data.image_turns import judge_turn
from imagescope_agent.lab.training.data.turn import (
    PROMPT_SET,
    CandidateText,
    ConditionCheck,
    ImageContext,
    TextMention,
    TrainingTurn,
    compact_json,
    fill_prompt,
    plain_steps,
)
from imagescope_agent.prompting import load_prompt, steps_text

GRADES = ("poor", "partial", "good", "excellent")


def satisfied_share(query: SceneQuery, scene: Scene) -> float:
    """The share of the query's conditions that a scene satisfies."""
    return sum(c.holds(scene) for c in query.conditions) / len(query.conditions)


def grade_turn(query: SceneQuery, candidate: Scene) -> TrainingTurn:
    """A grade of the second image: ten times the share of satisfied conditions, rounded."""
    judged = judge_turn(query, candidate)
    understood = steps_text(plain_steps(query.steps))
    prompt = fill_prompt("grade", instruction=query.text, understood=understood)
    shift = prompt.index(understood) - judged.prompt.index(understood)
    mentions = tuple(
        TextMention(end=m.end + shift, pattern=m.pattern, subject=m.subject, satisfied=m.satisfied)
        for m in judged.mentions
    )
    answer = str(round(10 * satisfied_share(query, candidate)))
    return TrainingTurn(prompt=prompt, answer=answer, kind="grade", mentions=mentions, scene=candidate)


def target_turn(query: SceneQuery, reference: Scene) -> TrainingTurn:
    """From the reference's caption and the modification text to a description of the target."""
    prompt = fill_prompt("target", instruction=query.text, reference=caption(reference))
    return TrainingTurn(prompt=prompt, answer=describe_target(query), kind="text")


def describe_target(query: SceneQuery) -> str:
    """A description of the target: things, setting, and what must be absent."""
    absent = [c.words() for c in query.conditions if isinstance(c, Absent)]
    return ", ".join([describe_steps(query.steps), *(f"without {words}" for words in dict.fromkeys(absent))])


def choice_turns(
    query: SceneQuery, scenes: Sequence[Scene], rng: Random
) -> tuple[ImageContext, tuple[int, ...], list[TrainingTurn]]:
    """Multiple choice among candidates under letters.

    Returns:
        the images, the positions in `scenes` in the order shown, and one turn, or none if the best is tied.
    """
    shown = rng.choice(presentations(range(len(scenes)), 3, rng))
    candidates = [scenes[item] for item in shown.items]
    shares = [satisfied_share(query, scene) for scene in candidates]
    understood = steps_text(plain_steps(query.steps))
    values = {"instruction": query.text, "labels": ", ".join(shown.labels), "understood": understood}
    images = _image_context("best", shown.labels, candidates, shares, _places_in_steps(query), values)
    if shares.count(max(shares)) > 1:
        return images, shown.items, []
    best = shares.index(max(shares))
    turn = TrainingTurn(
        prompt=fill_prompt("best", **values),
        answer=shown.labels[best],
        kind="best",
        ranked=((0, (best,)),),
    )
    return images, shown.items, [turn]


def listwise_turns(
    query: SceneQuery, scenes: Sequence[Scene], *, with_steps: bool, composed: bool
) -> tuple[ImageContext, list[TrainingTurn]]:
    """Order, grades and CoTRR's chain about the same numbered candidates.

    Args:
        query: what is searched for.
        scenes: of the candidates.
        with_steps: whether the prompt holds the query's steps; else it holds a description of the target, which for a
            text query is the query itself.
        composed: whether there is a reference.
    """
    description = describe_target(query) if composed else query.text
    understood = steps_text(plain_steps(query.steps)) if with_steps else f"Wanted: {description}"
    values = {"instruction": query.text, "understood": understood, "count": str(len(scenes))}
    labels = [str(place + 1) for place in range(len(scenes))]
    places = _places_in_steps(query) if with_steps else _places_in_description(query, understood)
    shares = [satisfied_share(query, scene) for scene in scenes]
    images = _image_context("order", labels, scenes, shares, places, values)
    order = [place + 1 for place in sorted(range(len(scenes)), key=lambda place: -shares[place])]
    turns = [
        _order_turn(fill_prompt("order", **values), order, shares),
        _grades_turn(fill_prompt("grades", **values), [round(10 * share) for share in shares]),
        _chain_turn(fill_prompt("cotrr", **values), components(query), shares, order),
    ]
    return images, turns


def components(query: SceneQuery) -> list[str]:
    """CoTRR's components, each checkable on its own: what is visible, the setting, then what must be absent."""
    visible = [condition.words() for condition in visible_conditions(query.steps)]
    absent = [f"no {c.pattern.bare}" for c in query.conditions if isinstance(c, Absent)]
    return list(dict.fromkeys([*visible, *absent]))


_Marks = list[tuple[int, tuple[int, ...]]]  # as `turn.AnswerMarks`


def _order_turn(prompt: str, order: Sequence[int], shares: Sequence[float]) -> TrainingTurn:
    answer, ranked = _with_order('{"order":[', order, shares)
    return TrainingTurn(prompt=prompt, answer=answer + "}", kind="order", ranked=tuple(ranked))


def _with_order(answer: str, order: Sequence[int], shares: Sequence[float]) -> tuple[str, _Marks]:
    """The answer continued by the numbers in order, and for each number the remaining images tied with it."""
    marks: _Marks = []
    for place, number in enumerate(order):
        answer += "," if place else ""
        tied = [other - 1 for other in order[place:] if shares[other - 1] == shares[number - 1]]
        marks.append((len(answer), tuple(tied)))
        answer += str(number)
    return answer + "]", marks


def _grades_turn(prompt: str, grades: Sequence[int]) -> TrainingTurn:
    answer, graded = '{"grades":[', _Marks()
    for place, grade in enumerate(grades):
        answer += "," if place else ""
        graded.append((len(answer), (place,)))
        answer += str(grade)
    return TrainingTurn(prompt=prompt, answer=answer + "]}", kind="grades", graded=tuple(graded))


def _chain_turn(
    prompt: str, parts: Sequence[str], shares: Sequence[float], order: Sequence[int]
) -> TrainingTurn:
    """CoTRR's three steps: components, a grade for every image, the order."""
    answer = f'{{"components":{compact_json(list(parts))},"evaluations":['
    graded: _Marks = []
    for place, share in enumerate(shares):
        answer += f'{"," if place else ""}{{"image":{place + 1},"grade":"'
        graded.append((len(answer), (place,)))
        answer += f'{GRADES[_grade(share)]}"}}'
    answer, ranked = _with_order(answer + '],"order":[', order, shares)
    return TrainingTurn(
        prompt=prompt, answer=answer + "}", kind="chain", graded=tuple(graded), ranked=tuple(ranked)
    )


def _grade(share: float) -> int:
    """Index into `GRADES`: all, most, some or few of the conditions are satisfied."""
    return 3 if share == 1 else 2 if share >= 0.6 else 1 if share >= 0.3 else 0


class _ConditionPlace(NamedTuple):
    """Where a text states a condition: the ends of the names in it, and its own end, in characters."""

    condition: Condition
    name_ends: tuple[int, ...]
    end: int


def _image_context(
    step: str,
    labels: Sequence[str],
    scenes: Sequence[Scene],
    shares: Sequence[float],
    places: Sequence[_ConditionPlace],
    values: Mapping[str, str],
) -> ImageContext:
    """The reference, then every candidate under its label with the text after it."""
    text = said_after(load_prompt(step, prompt_set=PROMPT_SET).fill_each(**values))
    texts = [
        CandidateText(
            text=text,
            scene=scene,
            mentions=tuple(mention for place in places for mention in _mentions(place, scene)),
            checks=tuple(
                ConditionCheck(end=place.end + 1, satisfied=place.condition.holds(scene)) for place in places
            ),
            grade=_grade(share),
        )
        for scene, share in zip(scenes, shares, strict=True)
    ]
    return ImageContext(labels=labelled(labels), texts=(None, *texts))


def _mentions(place: _ConditionPlace, scene: Scene) -> Iterator[TextMention]:
    named = patterns(place.condition)
    for number, (pattern, end) in enumerate(zip(named, place.name_ends, strict=True)):
        last = number == len(named) - 1
        yield TextMention(
            end=end + 1,  # a blank stands before the words
            pattern=pattern,
            subject=named[0] if number else None,
            satisfied=place.condition.holds(scene) if last else None,
        )


def patterns(condition: Condition) -> list[Pattern]:
    """The patterns of the things that a condition names."""
    if isinstance(condition, Related):
        return [condition.first, condition.second]
    return [condition.pattern] if isinstance(condition, Exists | Absent | Count) else []


def _places_in_steps(query: SceneQuery) -> list[_ConditionPlace]:
    """Where the lines of steps state their conditions."""
    places: list[_ConditionPlace] = []
    end = -1
    for step in query.steps:
        start, condition = end + 1, step.condition
        end = start + len(f"{step.type}: {condition.words()}")
        ends = [end] * len(patterns(condition))
        if isinstance(condition, Related):
            ends[0] = end - len(f" {condition.relation} {condition.second.words()}")
        places.append(_ConditionPlace(condition, tuple(ends), end))
    return places


def _places_in_description(query: SceneQuery, text: str) -> list[_ConditionPlace]:
    """Where a description names the things of the conditions, as far as it does; each is searched after the last."""
    places: list[_ConditionPlace] = []
    end = 0
    for condition in dict.fromkeys(query.conditions):
        ends: list[int] = []
        for pattern in patterns(condition):
            name = _name_regex(pattern)
            match = name.search(text, ends[-1] if ends else end) or name.search(text)
            ends += [match.end()] if match else []
        if len(ends) == len(patterns(condition)) and ends:
            places.append(_ConditionPlace(condition, tuple(ends), ends[-1]))
            end = ends[-1]
    return sorted(places, key=lambda place: place.name_ends)


def _name_regex(pattern: Pattern) -> re.Pattern[str]:
    kind = pattern.kind or "thing"
    nouns = "|".join((PLURALS[kind], kind, *SYNONYMS.get(kind, ())))
    colour = rf"{pattern.colour} " if pattern.colour else ""
    return re.compile(rf"\b{colour}(?:{nouns})\b")
