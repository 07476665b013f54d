"""Order images, with text or without, by how well they answer a query; no index is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.judges import JUDGES, elicitation
from imagescope_agent.judges.base import Candidate, Judge, Task, blank_image
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.mllms.role import ImageRef, Role
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.records import NoteDict, complete_order, note
from imagescope_agent.registry import resolve
from imagescope_agent.retrieval.images import ImageProblem, load
from imagescope_agent.runs.run_graph import run_sync
from imagescope_agent.services import DEFAULT_PROFILE, open_roles
from imagescope_agent.usage import total_usage

POINTWISE = "pointwise"


class NothingScored(BadInput):
    """The model refused every document of a reranking, so there is no order."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """A query or a document: text, an image, or both.

    Args:
        text: words.
        image: a file, or an image that was prepared for a model.
    """

    text: str = ""
    image: Path | str | ImageRef | None = None


@dataclass(frozen=True, kw_only=True)
class RankedDocument:
    """One document of a reranking.

    Args:
        index: its place among the documents that were given, from 0.
        score: P(yes, it satisfies the query), 0 to 1; it does not depend on the other documents. 0 where the model
            gave no answer, which a note says.
    """

    index: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Reranking:
    """The documents, best first, with the notes and the usage of the calls."""

    results: tuple[RankedDocument, ...]
    notes: tuple[NoteDict, ...]
    usage: dict[str, Any]


def rerank(
    query: str | Content,
    documents: Sequence[str | Path | Content],
    *,
    profile: str = DEFAULT_PROFILE,
    judge: str = POINTWISE,
    seed: int = 0,
) -> Reranking:
    """Order documents by how well they answer a query.

    Args:
        query: text, or text with a reference image and what to change in it.
        documents: image files, or text and image; 1 or more.
        profile: whose model of the role "judge" is asked.
        judge: a name of `imagescope judges`, or "module:attribute"; one that compares candidates changes the order,
            never the scores.
        seed: of the judge.

    Raises:
        BadInput: no documents, an empty query, an unknown profile or judge, or an unusable reference.
        BackendUnavailable: the model does not answer.
        NothingScored: the model refused every document, as when none serves the role.
    """
    return run_sync(
        arerank(query, documents, model=open_roles(load_profile(profile))["judge"], judge=judge, seed=seed)
    )


async def arerank(
    query: str | Content,
    documents: Sequence[str | Path | Content],
    *,
    model: Role,
    judge: str = POINTWISE,
    seed: int = 0,
) -> Reranking:
    """As `rerank`, inside an event loop and with a model that is open."""
    wanted = query if isinstance(query, Content) else Content(text=query)
    if not wanted.text.strip():
        raise BadInput("the query has no text; say what is wanted, or what to change in the reference image")
    if not documents:
        raise BadInput("there are no documents; give at least one")
    strategy: Judge = resolve(judge, JUDGES, kind="judge")
    reference = None if wanted.image is None else await _ref(wanted.image)
    task = Task(query=wanted.text, reference=reference, model=model, seed=seed)
    candidates, notes = await _candidates(documents)
    session = JudgeSession(task, candidates)
    scores = await elicitation.points(session, session.items)
    by_score = sorted(session.items, key=lambda item: -scores.get(item, -1.0))
    order = [candidates[item].id for item in by_score]
    judged = session.judgement(by_score)
    found, usage = [*notes, *judged.notes], [*judged.usage]
    if judge != POINTWISE and len(candidates) > 1:
        judgement = await strategy(task, [candidates[item] for item in by_score])
        order = complete_order(judgement.order, order)
        found += judgement.notes
        usage += judgement.usage
    values = {candidates[item].id: score for item, score in scores.items()}
    _require_answers(values, judged.notes)
    if unscored := len(documents) - len(values):
        found.append(note("judge", "skipped", f"{unscored} documents have no score and count as 0"))
    ranked = complete_order(order, [str(place) for place in range(len(documents))])
    return Reranking(
        results=tuple(RankedDocument(index=int(name), score=values.get(name, 0.0)) for name in ranked),
        notes=tuple(found),
        usage=total_usage(usage),
    )


def _require_answers(scores: Mapping[str, float], notes: Sequence[NoteDict]) -> None:
    refused = [each["detail"] for each in notes if each["kind"] == "refused"]
    if refused and not scores:
        raise NothingScored(f"no document has a score: {refused[0]}")


async def _candidates(documents: Sequence[str | Path | Content]) -> tuple[list[Candidate], list[NoteDict]]:
    """The documents that can be shown, named by their places, and a note for each other one."""
    candidates, notes = [], []
    for place, given in enumerate(documents):
        document = given if isinstance(given, Content) else Content(image=given)
        try:
            image = blank_image() if document.image is None else await _ref(document.image)
        except ImageProblem as problem:
            notes.append(note("judge", "skipped", f"document {place}: {problem}"))
        else:
            candidates.append(Candidate(id=str(place), image=image, text=document.text))
    if words := sum(isinstance(each, Content) and each.image is None for each in documents):
        told = f"{words} documents have no picture; the judge was shown their text beside an empty one"
        notes.append(note("judge", "fallback", told))
    return candidates, notes


async def _ref(image: Path | str | ImageRef) -> ImageRef:
    if isinstance(image, ImageRef):
        return image
    return await asyncio.to_thread(lambda: load(Path(image)).ref())
