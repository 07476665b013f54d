"""What a run writes down: plain values only, so that every checkpoint can be read without this package."""

from __future__ import annotations

import operator
from typing import Annotated, Any, NotRequired

from typing_extensions import TypedDict


class Note(TypedDict):
    """A degraded answer: the step, a kind the evaluation counts, and what happened."""

    step: str
    kind: str
    detail: str


class Usage(TypedDict):
    """What one step cost; seconds are wall-clock."""

    step: str
    role: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    image_prefills: int
    seconds: float


class Step(TypedDict):
    """An atomic instruction; type is Addition, Removal, Modification, Comparison or Retention."""

    type: str
    text: str


class Intent(TypedDict):
    """What is wanted: atomic instructions, and the target described at three rising grains."""

    steps: list[Step]
    core: str
    enhanced: str
    full: str


class Predicate(TypedDict):
    """A question about a candidate and the answer ("Yes" or "No") that speaks for it."""

    question: str
    expected: str


class Candidate(TypedDict):
    """An image found by retrieval and its score (cosine, higher is better)."""

    id: str
    retrieve: float


Verdicts = dict[str, dict[str, float]]


def merge_verdicts(old: Verdicts, new: Verdicts) -> Verdicts:
    """Verdicts of both, the newer where both know: {image id: {question: P(Yes)}}."""
    merged = {image: dict(answers) for image, answers in old.items()}
    for image, answers in new.items():
        merged.setdefault(image, {}).update(answers)
    return merged


class Query(TypedDict):
    """What a run is given: the text and, for composed retrieval, an image id or a path."""

    query: str
    reference: NotRequired[str | None]


class State(TypedDict, total=False):
    """Everything a run knows. Lists of ids are rankings, best first.

    `verdicts` outlive a turn, all else is cleared by the turn's first node.
    """

    query: str
    reference: str | None
    reference_caption: str
    intent: Intent
    candidates: list[Candidate]
    predicates: list[Predicate]
    verdicts: Annotated[Verdicts, merge_verdicts]
    matches: dict[str, int]
    judgement: dict[str, Any]
    ranking_retrieve: list[str]
    ranking_verify: list[str]
    ranking: list[str]
    results: list[dict[str, Any]]
    notes: Annotated[list[Note], operator.add]
    usage: Annotated[list[Usage], operator.add]
