"""Accuracy of comparing candidates: multiple choice, pointwise and listwise grades, order, CoTRR's chain."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random

from pydantic import BaseModel

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.judges.base import blank_image
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
from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_group
from imagescope_agent.lab.scenes.draw import draw
from imagescope_agent.lab.scenes.mixed_queries import any_query
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.world import Scene, random_scene
from imagescope_agent.lab.training.data.comparison_turns import (
    choice_turns,
    grade_turn,
    listwise_turns,
    satisfied_share,
)
from imagescope_agent.lab.training.data.turn import ImageContext
from imagescope_agent.mllms.role import ImageRef, Reply, Request, Role

LIST_LENGTH = 10
Accuracies = dict[str, float]  # per cent, by skill


async def comparison_accuracy(judge: Role, seed: int, queries: int) -> Accuracies:
    """Accuracies on text and composed queries in turn, with hard negatives as candidates.

    "best of 2" and "best of 4" must name the only best candidate; "order" and "cotrr" must put one of the best of ten
    first; "grades" must give one of the best of ten the highest grade; "grade" may be wrong by one of ten.
    """
    rng = Random(f"card comparing {seed}")
    accuracies = {f"best of {count}": await _best(judge, rng, queries, count) for count in (2, 4)}
    accuracies["grade"] = await _grade(judge, rng, queries)
    return accuracies | await _lists(judge, rng, queries)


async def _best(judge: Role, rng: Random, queries: int, count: int) -> float:
    requests, truth = list[Request](), list[str]()
    while len(truth) < queries:
        reference, scenes, query = sample_candidates(rng, count, composed=len(truth) % 2 == 1)
        context, order, turns = choice_turns(query, scenes, rng)
        if turns:
            requests.append(_request(turns[0].prompt, reference, [scenes[i] for i in order], context))
            truth.append(turns[0].answer)
    rows = (await judge.choose(requests, LABELS[:count])).probabilities
    return _percentage(LABELS[row.index(max(row))] == best for row, best in zip(rows, truth, strict=True))


async def _grade(judge: Role, rng: Random, queries: int) -> float:
    requests, truth = list[Request](), list[int]()
    for number in range(queries):
        reference, scenes, query = sample_candidates(rng, 1, composed=number % 2 == 1)
        turn = grade_turn(query, scenes[0])
        requests.append(_request(turn.prompt, reference, scenes))
        truth.append(int(turn.answer))
    replies = await judge.ask(requests)
    return _percentage(
        abs(_grade_of_ten(reply) - grade) <= 1 for reply, grade in zip(replies, truth, strict=True)
    )


def _grade_of_ten(reply: Reply) -> float:
    try:
        return 10 * parse_grade(reply.text)
    except UnreadableReply:
        return -10.0


async def _lists(judge: Role, rng: Random, queries: int) -> Accuracies:
    asked: dict[str, list[Request]] = {"order": [], "grades": [], "cotrr": []}
    shares: list[list[float]] = []
    for number in range(queries):
        reference, scenes, query = sample_candidates(rng, LIST_LENGTH, composed=number % 2 == 1)
        context, turns = listwise_turns(query, scenes, with_steps=True, composed=reference is not None)
        for requests, turn in zip(asked.values(), turns, strict=True):
            requests.append(_request(turn.prompt, reference, scenes, context))
        shares.append([satisfied_share(query, scene) for scene in scenes])
    right: Counter[str] = Counter()
    schemas: dict[str, type[BaseModel]] = {"order": OrderAnswer, "grades": GradesAnswer, "cotrr": CotrrAnswer}
    for step, requests in asked.items():
        replies = await judge.ask(requests, schema=schemas[step])
        for reply, each in zip(replies, shares, strict=True):
            place = _top_candidate(step, reply.text)
            right[step] += place is not None and each[place] == max(each)
    return {step: 100 * right[step] / queries for step in asked}


def _top_candidate(step: str, text: str) -> int | None:
    """The position of the candidate that a reply puts first; None if it is unreadable."""
    try:
        if step == "grades":
            grades = parse_grades(text, LIST_LENGTH)
            return grades.index(max(grades))
        return (parse_order(text, LIST_LENGTH) if step == "order" else parse_cotrr(text, LIST_LENGTH)[0])[0]
    except UnreadableReply:
        return None


def sample_candidates(
    rng: Random, count: int, *, composed: bool
) -> tuple[Scene | None, list[Scene], SceneQuery]:
    """The reference of a composed query, candidates of which one answers the query, and the query."""
    made = None
    while made is None:
        made = composed_group(rng, rng.sample(COMPOSED_KINDS, 3))
    scenes, queries_of_group = made
    others = [*scenes[3:], *(random_scene(rng) for _ in range(count))]
    shown = [scenes[1], scenes[2], *others][: max(count, 2)]
    shown = rng.sample(shown, count)
    if composed:
        return scenes[0], shown, queries_of_group[0]
    return None, shown, any_query(rng.choice(shown), rng)


def _request(
    text: str, reference: Scene | None, scenes: Sequence[Scene], context: ImageContext | None = None
) -> Request:
    images = (rendered(reference) if reference else blank_image(), *map(rendered, scenes))
    if context is None:
        return Request(text=text, images=images)
    after = tuple(text.text if text else "" for text in context.texts)
    return Request(text=text, images=images, labels=context.labels, after=after)


def rendered(scene: Scene) -> ImageRef:
    """The image of a scene as a request refers to it."""
    buffer = io.BytesIO()
    draw(scene).save(buffer, "PNG")
    return ImageRef(key=hashlib.sha256(buffer.getvalue()).hexdigest(), data=buffer.getvalue())


def _percentage(right: Iterable[bool]) -> float:
    values = list(right)
    return 100 * sum(values) / len(values)
