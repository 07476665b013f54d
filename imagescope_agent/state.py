"""What a run writes down: plain values only, so that every checkpoint can be read without this package."""

from __future__ import annotations

import operator
import unicodedata
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


def matches_expected(probability: float, expected: str) -> bool:
    """Whether P(Yes) says what is expected; exactly even says nothing."""
    return probability > 0.5 if expected == "Yes" else probability < 0.5


class Candidate(TypedDict):
    """An image found by retrieval and its score (cosine, higher is better)."""

    id: str
    retrieve: float


class Fact(TypedDict):
    """A standing instruction of a conversation, with the predicates that check it."""

    type: str
    text: str
    predicates: list[Predicate]


class Question(TypedDict):
    """What the user is asked: the words, the predicate they ask for, and the bits that an answer should give.

    `also` are further predicates that the same words ask for; yes or no answers no such question.
    """

    text: str
    asks: str
    also: NotRequired[list[str]]
    information: float


class Turn(TypedDict):
    """One finished turn of a conversation; `request` is all that was wanted by then, in one text."""

    message: str
    reference: str | None
    request: str
    results: list[dict[str, Any]]
    question: Question | None
    notes: list[Note]
    usage: list[Usage]


Verdicts = dict[str, dict[str, float]]


def merge_verdicts(old: Verdicts, new: Verdicts) -> Verdicts:
    """Verdicts of both, the newer where both know: {image id: {question: P(Yes)}}."""
    merged = {image: dict(answers) for image, answers in old.items()}
    for image, answers in new.items():
        merged.setdefault(image, {}).update(answers)
    return merged


#: Letters and marks by their category that show nothing: fillers and joiners.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_SELECTORS = tuple(map(chr, range(0xFE00, 0xFE10)))  # choose between forms of the letter before them


def said(text: str) -> str:
    """What a text says: without spaces, control characters and what has no width around it; "" when nothing is left."""
    seen = [place for place, letter in enumerate(text) if _is_seen(letter)]
    if not seen:
        return ""
    end = seen[-1] + 1
    while text.startswith(_SELECTORS, end):
        end += 1
    return text[seen[0] : end]


def _is_seen(letter: str) -> bool:
    return not (
        letter in _FILLERS
        or letter in _SELECTORS
        or unicodedata.category(letter) in ("Cc", "Cf", "Zs", "Zl", "Zp")
    )


class Query(TypedDict):
    """What a run is given: the text and, for composed retrieval, an image id or a path."""

    query: str
    reference: NotRequired[str | None]


class Again(Query):
    """A query after others: images that were shown and were not it."""

    rejected: NotRequired[list[str]]


class State(TypedDict, total=False):
    """Everything a run knows. Lists of ids are rankings, best first.

    `verdicts` outlive a turn, all else is cleared by the turn's first node; in a conversation what was said
    so far outlives it too.
    """

    query: str
    reference: str | None
    reference_caption: str
    intent: Intent
    candidates: list[Candidate]
    predicates: list[Predicate]
    reflections: int  # how often the search was widened
    verdicts: Annotated[Verdicts, merge_verdicts]
    matches: dict[str, int]
    unverified: dict[str, str]  # images about which the verifier was not to be asked, and why
    judgement: dict[str, Any]
    ranking_retrieve: list[str]
    ranking_verify: list[str]
    ranking: list[str]
    results: list[dict[str, Any]]
    notes: Annotated[list[Note], operator.add]
    usage: Annotated[list[Usage], operator.add]
    # a conversation only
    schema: int
    message: str
    anchor: str | None  # the standing reference
    request: str
    facts: list[Fact]
    liked: list[str]
    rejected: list[str]
    pool: list[str]  # predicates that may be asked for
    wordings: dict[str, str]  # how a predicate is asked for
    asked: list[str]
    question: Question | None
    turns: list[Turn]
