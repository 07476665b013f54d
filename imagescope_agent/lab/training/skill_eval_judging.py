"""What the mini chat model can do of comparing pictures: grades, the best of several, an order, CoTRR's chain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random

from pydantic import BaseModel

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.judges.position_debiasing import LABELS
from imagescope_agent.judges.replies import (
    CotrrAnswer,
    GradesAnswer,
    OrderAnswer,
    parse_cotrr,
    parse_grade,
    parse_grades,
    parse_order,
)
from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, family
from imagescope_agent.lab.scenes.mixed_queries import any_query
from imagescope_agent.lab.scenes.queries import Query
from imagescope_agent.lab.scenes.world import Scene, random_scene
from imagescope_agent.lab.training.comparing import grade_branch, lettered, met, numbered
from imagescope_agent.lab.training.examples import Pictures
from imagescope_agent.lab.training.skill_eval_images import blank, picture
from imagescope_agent.mllms.role import Reply, Request, Role

MANY = 10
Figures = dict[str, float]


async def comparing_figures(judge: Role, seed: int, queries: int) -> Figures:
    """Shares of right answers, text and composed requests in turn; every picture is easily taken for another.

    "best of 2" and "best of 4" name the only best picture; "order" and "cotrr" put one of the best of ten first;
    "grades" give it the highest grade of ten; "grade" is right within one of ten.
    """
    rng = Random(f"card comparing {seed}")
    figures = {f"best of {count}": await _best(judge, rng, queries, count) for count in (2, 4)}
    figures["grade"] = await _grade(judge, rng, queries)
    return figures | await _lists(judge, rng, queries)


async def _best(judge: Role, rng: Random, queries: int, count: int) -> float:
    requests, truth = list[Request](), list[str]()
    while len(truth) < queries:
        reference, scenes, query = _compared(rng, count, composed=len(truth) % 2 == 1)
        pictures, order, branches = lettered(query, scenes, rng)
        if branches:
            requests.append(_request(branches[0].prompt, reference, [scenes[i] for i in order], pictures))
            truth.append(branches[0].answer)
    rows = (await judge.choose(requests, LABELS[:count])).probabilities
    return _share(LABELS[row.index(max(row))] == best for row, best in zip(rows, truth, strict=True))


async def _grade(judge: Role, rng: Random, queries: int) -> float:
    requests, truth = list[Request](), list[int]()
    for number in range(queries):
        reference, scenes, query = _compared(rng, 1, composed=number % 2 == 1)
        branch = grade_branch(query, scenes[0])
        requests.append(_request(branch.prompt, reference, scenes))
        truth.append(int(branch.answer))
    replies = await judge.ask(requests)
    return _share(abs(_graded(reply) - grade) <= 1 for reply, grade in zip(replies, truth, strict=True))


def _graded(reply: Reply) -> float:
    try:
        return 10 * parse_grade(reply.text)
    except UnreadableReply:
        return -10.0


async def _lists(judge: Role, rng: Random, queries: int) -> Figures:
    asked: dict[str, list[Request]] = {"order": [], "grades": [], "cotrr": []}
    worth: list[list[float]] = []
    for number in range(queries):
        reference, scenes, query = _compared(rng, MANY, composed=number % 2 == 1)
        pictures, branches = numbered(query, scenes, apart=True, composed=reference is not None)
        for requests, branch in zip(asked.values(), branches, strict=True):
            requests.append(_request(branch.prompt, reference, scenes, pictures))
        worth.append([met(query, scene) for scene in scenes])
    right: Counter[str] = Counter()
    schemas: dict[str, type[BaseModel]] = {"order": OrderAnswer, "grades": GradesAnswer, "cotrr": CotrrAnswer}
    for step, requests in asked.items():
        replies = await judge.ask(requests, schema=schemas[step])
        for reply, each in zip(replies, worth, strict=True):
            place = _first(step, reply.text)
            right[step] += place is not None and each[place] == max(each)
    return {step: 100 * right[step] / queries for step in asked}


def _first(step: str, text: str) -> int | None:
    """The place that a reply puts first; None where it cannot be read."""
    try:
        if step == "grades":
            grades = parse_grades(text, MANY)
            return grades.index(max(grades))
        return (parse_order(text, MANY) if step == "order" else parse_cotrr(text, MANY)[0])[0]
    except UnreadableReply:
        return None


def _compared(rng: Random, count: int, *, composed: bool) -> tuple[Scene | None, list[Scene], Query]:
    """A reference for a composed request, candidates of which one answers the request, and the request."""
    made = None
    while made is None:
        made = family(rng, rng.sample(COMPOSED_KINDS, 3))
    scenes, changes = made
    others = [*scenes[3:], *(random_scene(rng) for _ in range(count))]
    shown = [scenes[1], scenes[2], *others][: max(count, 2)]
    shown = rng.sample(shown, count)
    if composed:
        return scenes[0], shown, changes[0]
    return None, shown, any_query(rng.choice(shown), rng)


def _request(
    text: str, reference: Scene | None, scenes: Sequence[Scene], pictures: Pictures | None = None
) -> Request:
    images = (picture(reference) if reference else blank(), *map(picture, scenes))
    if pictures is None:
        return Request(text=text, images=images)
    after = tuple(said.text if said else "" for said in pictures.said)
    return Request(text=text, images=images, labels=pictures.labels, after=after)


def _share(right: Iterable[bool]) -> float:
    values = list(right)
    return 100 * sum(values) / len(values)
