"""Reranking with text and images on both sides, in the shape that Cohere, Jina and vLLM share."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Sequence

from fastapi import APIRouter, Request

from imagescope_agent.errors import BadInput, suggest
from imagescope_agent.judges import JUDGES
from imagescope_agent.records import NoteDict, note
from imagescope_agent.rerank import POINTWISE, Content, arerank
from imagescope_agent.retrieval.images import ImageProblem
from imagescope_agent.service import pictures
from imagescope_agent.service.collections import ServedCollection, Unknown
from imagescope_agent.service.context import KeyDep, Service, ServiceDep
from imagescope_agent.service.schemas import RerankContent, RerankRequest, RerankResponse, RerankResult

router = APIRouter(tags=["rerank"])
SHOWN = 200  # characters of a document that is sent back
_FILE = re.compile(r"\S+\.[A-Za-z]{3,4}")


@router.post("/v1/rerank")
@router.post("/rerank", include_in_schema=False)
@router.post("/v2/rerank", include_in_schema=False)
async def rerank(asked: RerankRequest, request: Request, service: ServiceDep, key: KeyDep) -> RerankResponse:
    """Order documents by how well they answer a query; a score does not depend on the other documents."""
    return await service.run(request, _reranked(service, key, asked))


async def _reranked(service: Service, key: str, asked: RerankRequest) -> RerankResponse:
    served = service.collections.find(asked.collection, key)
    judge = asked.model or POINTWISE
    if judge not in JUDGES:
        raise BadInput(f"there is no judge {judge[:60]!r}; {suggest(judge[:60], JUDGES)}")
    query = await asyncio.to_thread(_content, served, asked.query, True)
    documents = await asyncio.to_thread(lambda: [_content(served, each, False) for each in asked.documents])
    found = await arerank(query, documents, model=served.services.judge, judge=judge)
    results = [
        RerankResult(
            index=each.index,
            relevance_score=each.score,
            document=_shown(asked.documents[each.index], documents[each.index])
            if asked.return_documents
            else None,
        )
        for each in found.results[: asked.top_n]
    ]
    notes = [dict(each) for each in [*_taken_for_text(asked.documents, documents), *found.notes]]
    return RerankResponse(id=uuid.uuid4().hex, model=judge, results=results, notes=notes, usage=found.usage)


def _taken_for_text(given: Sequence[str | RerankContent], taken: Sequence[Content]) -> list[NoteDict]:
    """A note for each string that has the form of a file's name and names no image here."""
    return [
        note(
            "judge", "fallback", f"document {place}: {each[:80]!r} is no image here and was taken for a text"
        )
        for place, (each, content) in enumerate(zip(given, taken, strict=True))
        if isinstance(each, str) and content.image is None and _FILE.fullmatch(each)
    ]


def _content(served: ServedCollection, given: str | RerankContent, is_query: bool) -> Content:
    """A query or a document; a text alone is a query's words, and an image's id or data URI as a document."""
    if isinstance(given, str):
        given = RerankContent(text=given) if is_query else RerankContent(image=given)
    if given.image is None:
        if not given.text:
            raise BadInput("a document needs `text` or `image`; one has neither")
        return Content(text=given.text)
    try:
        return Content(text=given.text, image=pictures.shown(given.image, served.services.collection))
    except Unknown:
        if given.text or is_query or pictures.is_data_uri(given.image):
            raise
        return Content(text=given.image)  # a string that is no id is a text, as in every API of this shape
    except ImageProblem as problem:
        raise Unknown(f"the image {given.image[:80]!r} cannot be shown: {problem.reason}") from problem


def _shown(document: str | RerankContent, taken: Content) -> dict[str, str]:
    if isinstance(document, str):
        return {"text" if taken.image is None else "image": document[:SHOWN]}
    return {
        name: value[:SHOWN] for name, value in (("text", document.text), ("image", document.image)) if value
    }
