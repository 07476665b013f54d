"""What the mini chat model is taught of judging: grades, the best of several, an order, CoTRR's chain.

After every candidate stands what it should fulfil, so that a picture is compared with words beside it and the answer
only has to gather what was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random

from imagescope_agent.judges.base import said_after
from imagescope_agent.judges.position_debiasing import labelled, presentations
from imagescope_agent.lab.scenes.conditions import (
    PLURALS,
    Absent,
    Condition,
    Count,
    Exists,
    Pattern,
    Related,
)
from imagescope_agent.lab.scenes.language import SYNONYMS, caption
from imagescope_agent.lab.scenes.queries import Query
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.lab.training.examples import (
    PROMPT_SET,
    Branch,
    Name,
    Pictures,
    Said,
    Spot,
    as_plain,
    compact,
    fill,
    judge_branch,
)
from imagescope_agent.lab.training.talking import shown_conditions, told
from imagescope_agent.prompting import load_prompt, steps_text

GRADES = ("poor", "partial", "good", "excellent")


def met(query: Query, scene: Scene) -> float:
    """The share of the query's steps that a scene fulfils."""
    return sum(c.holds(scene) for c in query.conditions) / len(query.conditions)


def grade_branch(query: Query, candidate: Scene) -> Branch:
    """A whole grade of the second picture: ten times the share of steps that are met."""
    judged = judge_branch(query, candidate)
    understood = steps_text(as_plain(query.steps))
    prompt = fill("grade", instruction=query.text, understood=understood)
    shift = prompt.index(understood) - judged.prompt.index(understood)
    named = tuple(
        Name(end=n.end + shift, pattern=n.pattern, partner=n.partner, met=n.met) for n in judged.named
    )
    answer = str(round(10 * met(query, candidate)))
    return Branch(prompt=prompt, answer=answer, kind="grade", named=named, scene=candidate)


def target_branch(query: Query, reference: Scene) -> Branch:
    """From reference and change to one description of what is wanted."""
    prompt = fill("target", instruction=query.text, reference=caption(reference))
    return Branch(prompt=prompt, answer=wanted(query), kind="text")


def wanted(query: Query) -> str:
    """A description of the target: what is there, where, and what must not be there."""
    gone = [c.words() for c in query.conditions if isinstance(c, Absent)]
    return ", ".join([told(query.steps), *(f"without {words}" for words in dict.fromkeys(gone))])


def lettered(
    query: Query, scenes: Sequence[Scene], rng: Random
) -> tuple[Pictures, tuple[int, ...], list[Branch]]:
    """The best of several pictures shown under letters, if there is one best.

    Returns:
        the pictures, the places of `scenes` in the order shown, and the turn, if any.
    """
    shown = rng.choice(presentations(range(len(scenes)), 3, rng))
    row = [scenes[item] for item in shown.items]
    worth = [met(query, scene) for scene in row]
    understood = steps_text(as_plain(query.steps))
    values = {"instruction": query.text, "labels": ", ".join(shown.labels), "understood": understood}
    pictures = _pictures("best", shown.labels, row, worth, _steps(query), values)
    if worth.count(max(worth)) > 1:
        return pictures, shown.items, []
    prompt = fill("best", **values)
    place = worth.index(max(worth))
    best = Branch(prompt=prompt, answer=shown.labels[place], kind="best", ordered=((0, (place,)),))
    return pictures, shown.items, [best]


def numbered(
    query: Query, scenes: Sequence[Scene], *, apart: bool, composed: bool
) -> tuple[Pictures, list[Branch]]:
    """An order, grades and CoTRR's chain about the same numbered pictures.

    Args:
        query: what is wanted.
        scenes: the pictures.
        apart: whether the request was taken apart before; else a description of the target is all there is, which
            for a text request is the request.
        composed: whether there is a reference.
    """
    description = wanted(query) if composed else query.text
    understood = steps_text(as_plain(query.steps)) if apart else f"Wanted: {description}"
    values = {"instruction": query.text, "understood": understood, "count": str(len(scenes))}
    labels = [str(place + 1) for place in range(len(scenes))]
    said = _steps(query) if apart else _described(query, understood)
    worth = [met(query, scene) for scene in scenes]
    pictures = _pictures("order", labels, scenes, worth, said, values)
    order = [place + 1 for place in sorted(range(len(scenes)), key=lambda place: -worth[place])]
    grades = [round(10 * each) for each in worth]
    branches = [
        _order(fill("order", **values), order, worth),
        _grades(fill("grades", **values), grades),
        _chain(fill("cotrr", **values), components(query), worth, order),
    ]
    return pictures, branches


def components(query: Query) -> list[str]:
    """What can be checked on its own, in words: what is there, the setting, then what must not be there."""
    there = [condition.words() for condition in shown_conditions(query.steps)]
    gone = [f"no {c.pattern.bare}" for c in query.conditions if isinstance(c, Absent)]
    return list(dict.fromkeys([*there, *gone]))


_Marks = list[tuple[int, tuple[int, ...]]]


def _order(prompt: str, order: Sequence[int], worth: Sequence[float]) -> Branch:
    answer, ordered = _listed('{"order":[', order, worth)
    return Branch(prompt=prompt, answer=answer + "}", kind="order", ordered=tuple(ordered))


def _listed(answer: str, order: Sequence[int], worth: Sequence[float]) -> tuple[str, _Marks]:
    """An answer with the numbers in order, and for each of them which pictures were as good and still to come."""
    marks: _Marks = []
    for place, number in enumerate(order):
        answer += "," if place else ""
        as_good = [other - 1 for other in order[place:] if worth[other - 1] == worth[number - 1]]
        marks.append((len(answer), tuple(as_good)))
        answer += str(number)
    return answer + "]", marks


def _grades(prompt: str, grades: Sequence[int]) -> Branch:
    answer, graded = '{"grades":[', _Marks()
    for place, grade in enumerate(grades):
        answer += "," if place else ""
        graded.append((len(answer), (place,)))
        answer += str(grade)
    return Branch(prompt=prompt, answer=answer + "]}", kind="grades", graded=tuple(graded))


def _chain(prompt: str, parts: Sequence[str], worth: Sequence[float], order: Sequence[int]) -> Branch:
    """CoTRR's three steps: the components, a grade for every picture, the order."""
    answer = f'{{"components":{compact(list(parts))},"evaluations":['
    graded: _Marks = []
    for place, each in enumerate(worth):
        answer += f'{"," if place else ""}{{"image":{place + 1},"grade":"'
        graded.append((len(answer), (place,)))
        answer += f'{GRADES[_grade(each)]}"}}'
    answer, ordered = _listed(answer + '],"order":[', order, worth)
    return Branch(
        prompt=prompt, answer=answer + "}", kind="chain", graded=tuple(graded), ordered=tuple(ordered)
    )


def _grade(worth: float) -> int:
    """One of four grades: all holds, most, some, little."""
    return 3 if worth == 1 else 2 if worth >= 0.6 else 1 if worth >= 0.3 else 0


_Place = tuple[Condition, tuple[int, ...], int]  # a condition, where the things it names end, where it ends


def _pictures(
    step: str,
    labels: Sequence[str],
    scenes: Sequence[Scene],
    worths: Sequence[float],
    places: Sequence[_Place],
    values: Mapping[str, str],
) -> Pictures:
    """The reference, then every candidate under its label with what is said after it."""
    text = said_after(load_prompt(step, prompt_set=PROMPT_SET).fill_each(**values))
    said = [
        Said(
            text=text,
            scene=scene,
            named=tuple(name for place in places for name in _names(place, scene)),
            spots=tuple(Spot(end=end + 1, met=condition.holds(scene)) for condition, _, end in places),
            grade=_grade(worth),
        )
        for scene, worth in zip(scenes, worths, strict=True)
    ]
    return Pictures(labels=labelled(labels), said=(None, *said))


def _names(place: _Place, scene: Scene) -> Iterator[Name]:
    condition, ends, _ = place
    named = patterns(condition)
    first = named[0] if len(named) > 1 else None
    for number, (pattern, end) in enumerate(zip(named, ends, strict=True)):
        last = number == len(named) - 1
        yield Name(
            end=end + 1,  # a blank stands before the words
            pattern=pattern,
            partner=first if number else None,
            met=condition.holds(scene) if last else None,
        )


def patterns(condition: Condition) -> list[Pattern]:
    """The things that a condition names."""
    if isinstance(condition, Related):
        return [condition.first, condition.second]
    return [condition.pattern] if isinstance(condition, Exists | Absent | Count) else []


def _steps(query: Query) -> list[_Place]:
    """Where the lines of steps name things and end."""
    places: list[_Place] = []
    end = -1
    for step in query.steps:
        start, condition = end + 1, step.condition
        end = start + len(f"{step.type}: {condition.words()}")
        ends = [end] * len(patterns(condition))
        if isinstance(condition, Related):
            ends[0] = end - len(f" {condition.relation} {condition.second.words()}")
        places.append((condition, tuple(ends), end))
    return places


def _described(query: Query, text: str) -> list[_Place]:
    """Where a description names what the steps ask for, as far as it does, reading on from one to the next."""
    places: list[_Place] = []
    end = 0
    for condition in dict.fromkeys(query.conditions):
        ends: list[int] = []
        for pattern in patterns(condition):
            found = _noun(pattern).search(text, ends[-1] if ends else end) or _noun(pattern).search(text)
            ends += [found.end()] if found else []
        if len(ends) == len(patterns(condition)) and ends:
            places.append((condition, tuple(ends), ends[-1]))
            end = ends[-1]
    return sorted(places, key=lambda place: place[1])


def _noun(pattern: Pattern) -> re.Pattern[str]:
    kind = pattern.kind or "thing"
    nouns = "|".join((PLURALS[kind], kind, *SYNONYMS.get(kind, ())))
    colour = rf"{pattern.colour} " if pattern.colour else ""
    return re.compile(rf"\b{colour}(?:{nouns})\b")
