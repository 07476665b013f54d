"""What the mini chat model is taught of judging: grades, the best of several, an order, CoTRR's chain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from imagescope_agent.judges.order_control import LABELS, labelled, presentations
from imagescope_agent.prompting import steps_text
from imagescope_agent.scenes.conditions import Absent, Condition, Count, Elsewhere, Exists, Related
from imagescope_agent.scenes.language import caption
from imagescope_agent.scenes.queries import Query
from imagescope_agent.scenes.world import Scene
from imagescope_agent.training.examples import (
    Branch,
    Check,
    Line,
    Name,
    as_plain,
    compact,
    fill,
    judge_branch,
)
from imagescope_agent.training.talking import shown_conditions, told

_GRADES = ("poor", "partial", "good", "excellent")


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
    return Branch(
        prompt=prompt,
        answer=str(round(10 * met(query, candidate))),
        kind="grade",
        named=named,
        scene=candidate,
    )


def target_branch(query: Query, reference: Scene) -> Branch:
    """From reference and change to one description of what is wanted."""
    prompt = fill("target", instruction=query.text, reference=caption(reference))
    return Branch(prompt=prompt, answer=told(query.steps), kind="text")


def lettered(
    queries: Sequence[Query], scenes: Sequence[Scene], rng: Random
) -> tuple[tuple[str, ...], tuple[int, ...], list[Branch]]:
    """The best of several pictures shown under letters, for every query that has one best.

    Returns:
        the labels in front of the pictures, the places of `scenes` in the order shown, and the turns.
    """
    shown = rng.choice(presentations(range(len(scenes)), 3, rng))
    row = [scenes[item] for item in shown.items]
    branches = []
    for query in queries:
        worth = [met(query, scene) for scene in row]
        if worth.count(max(worth)) == 1:
            prompt, lines = _about("best", query, labels=", ".join(shown.labels))
            answer = shown.labels[worth.index(max(worth))]
            slots = tuple(LABELS.index(label) for label in shown.labels)
            branches.append(_listed(prompt, answer, "best", row, lines, slots))
    return labelled(shown.labels), shown.items, branches


def numbered(query: Query, scenes: Sequence[Scene], rng: Random) -> tuple[tuple[str, ...], list[Branch]]:
    """An order, grades and CoTRR's chain about the same numbered pictures; the labels in front of them, the turns."""
    worth = [met(query, scene) for scene in scenes]
    order = [place + 1 for place in sorted(range(len(scenes)), key=lambda place: -worth[place])]
    grades = [round(10 * each) for each in worth]
    slots = tuple(len(LABELS) + place for place in range(len(scenes)))
    branches = []
    for step, reply in (("order", {"order": order}), ("grades", {"grades": grades})):
        prompt, lines = _about(step, query, count=str(len(scenes)))
        branches.append(_listed(prompt, compact(reply), "list", scenes, lines, slots))
    branches.append(chain_branch(query, scenes, apart=rng.random() < 0.4))
    return labelled([str(place + 1) for place in range(len(scenes))]), branches


def chain_branch(query: Query, scenes: Sequence[Scene], *, apart: bool) -> Branch:
    """CoTRR's three steps: components, every picture checked against each of them with a grade, the order.

    Args:
        query: what is wanted.
        scenes: the numbered pictures.
        apart: whether the request was taken apart before; else a description of the target is all there is.
    """
    understood = steps_text(as_plain(query.steps)) if apart else f"Wanted: {told(query.steps)}"
    prompt = fill("cotrr", instruction=query.text, understood=understood, count=str(len(scenes)))
    parts = components(query, apart=apart)
    writer = _Writer()
    writer.add(f'{{"components":[{",".join(_quoted(words) for words, _ in parts)}],"evaluations":[')
    worth = []
    for place, scene in enumerate(scenes):
        held = [part.holds(scene) for _, part in parts]
        worth.append(sum(held) / len(held))
        writer.add(f'{"," if place else ""}{{"image":')
        number = writer.add(str(place + 1))
        writer.add(',"reason":"')
        for index, ((words, part), holds) in enumerate(zip(parts, held, strict=True)):
            writer.add(", " if index else "")
            start = len(writer.text)
            end = writer.add(words)
            answer = writer.add(": ") - 1  # the blank belongs to the word
            writer.add("yes" if holds else "no")
            names = tuple(_names_of(part, start, words, holds))
            writer.checks.append(
                Check(place=place, number=number, start=start, end=end, answer=answer, named=names)
            )
        writer.add(f'","grade":"{_grade(worth[-1])}"}}')
    order = [place + 1 for place in sorted(range(len(scenes)), key=lambda place: -worth[place])]
    writer.add(f'],"order":{compact(order)}}}')
    return Branch(
        prompt=prompt, answer=writer.text, kind="chain", scenes=tuple(scenes), checks=tuple(writer.checks)
    )


def components(query: Query, *, apart: bool) -> list[tuple[str, Condition]]:
    """What can be checked on its own, in words: what is there, the setting, then what must not be there.

    Without steps only those absences are known that the request itself names.
    """
    there = [(condition.words(), condition) for condition in shown_conditions(query.steps)]
    gone = [
        (f"no {condition.pattern.bare}", condition)
        for condition in query.conditions
        if isinstance(condition, Absent) and (apart or (condition.pattern.colour or "") in query.text)
    ]
    away = [(f"not {c.words()}", c) for c in query.conditions if isinstance(c, Elsewhere)]
    return list(dict.fromkeys([*there, *gone, *away]))


class _Writer:
    """An answer under construction that tells where its parts end."""

    def __init__(self) -> None:
        self.text = ""
        self.checks: list[Check] = []

    def add(self, piece: str) -> int:
        self.text += piece
        return len(self.text)


def _about(step: str, query: Query, **values: str) -> tuple[str, tuple[Line, ...]]:
    """The prompt of a judging step, and where each line of what was understood ends."""
    understood = steps_text(as_plain(query.steps))
    prompt = fill(step, instruction=query.text, understood=understood, **values)
    end, lines = prompt.index(understood) - 1, list[Line]()
    for step_ in query.steps:
        start = end + 1
        end = start + len(f"{step_.type}: {step_.condition.words()}")
        words = f"{step_.type}: "
        names = tuple(_names_of(step_.condition, start + len(words), prompt[start + len(words) : end], None))
        lines.append(Line(end=end, condition=step_.condition, named=names))
    return prompt, tuple(lines)


def _listed(
    prompt: str,
    answer: str,
    kind: str,
    scenes: Sequence[Scene],
    lines: tuple[Line, ...],
    slots: tuple[int, ...],
) -> Branch:
    return Branch(prompt=prompt, answer=answer, kind=kind, scenes=tuple(scenes), lines=lines, slots=slots)


def _names_of(condition: Condition, start: int, words: str, holds: bool | None) -> Iterator[Name]:
    """The things that a condition's words name, from `start` of a text on."""
    end = start + len(words)
    if isinstance(condition, Related):
        first = end - len(f" {condition.relation} {condition.second.words()}")
        yield Name(end=first, pattern=condition.first)
        yield Name(end=end, pattern=condition.second, partner=condition.first, met=holds)
    elif isinstance(condition, Exists | Absent | Count):
        yield Name(end=end, pattern=condition.pattern, met=holds)


def _grade(worth: float) -> str:
    """One of four grades: all holds, two thirds, some, nothing."""
    return _GRADES[3 if worth == 1 else 2 if worth >= 0.6 else 1 if worth > 0 else 0]


def _quoted(words: str) -> str:
    return f'"{words}"'
