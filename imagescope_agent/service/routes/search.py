"""Searches: one, several, or one whose steps are told as they end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from imagescope_agent.errors import BadInput, ImageScopeError
from imagescope_agent.runs.results import SearchResult
from imagescope_agent.runs.run_graph import Progress
from imagescope_agent.service import pictures
from imagescope_agent.service.collections import ServedCollection
from imagescope_agent.service.context import KeyDep, Service, ServiceDep
from imagescope_agent.service.problems import told
from imagescope_agent.service.schemas import (
    BatchItem,
    BatchRequest,
    BatchResponse,
    Hit,
    Problem,
    SearchRequest,
    SearchResponse,
)
from imagescope_agent.service.streaming import Emit, streamed

router = APIRouter(prefix="/v1", tags=["search"])
RANKINGS = ("ranking_retrieve", "ranking_verify", "ranking")  # what a step may change, shown when it ends
#: What stands beside the settings of a search.
NO_SETTINGS = frozenset({"text", "image", "images", "unlike", "run", "rejected", "progress", "k"})
SHOWN = 10  # ids of a ranking in an event


@router.post("/search")
async def search(asked: SearchRequest, request: Request, service: ServiceDep, key: KeyDep) -> SearchResponse:
    """Rank a collection's images for a text, or for a reference and what to change in it."""
    return await service.run(request, searched(service, key, asked))


@router.post("/search/batch")
async def batch(asked: BatchRequest, request: Request, service: ServiceDep, key: KeyDep) -> BatchResponse:
    """Several searches; one that fails costs none of the others."""

    async def each(one: SearchRequest) -> BatchItem:
        try:
            return BatchItem(result=await searched(service, key, one))
        except ImageScopeError as error:
            _, kind, message = told(error, service.collections)
            return BatchItem(error=Problem(type=kind, message=message))

    async def all_of_them() -> BatchResponse:
        return BatchResponse(results=[await each(one) for one in asked.searches])

    return await service.run(request, all_of_them())


def _require_allowed(asked: SearchRequest, service: ServiceDep, key: KeyDep) -> None:
    """Refuse a stream by its status, before it begins."""
    service.collections.find(asked.collection, key)
    service.queue.require_room()


@router.post("/search/stream", response_class=EventSourceResponse, dependencies=[Depends(_require_allowed)])
async def stream(
    asked: SearchRequest, request: Request, service: ServiceDep, key: KeyDep
) -> AsyncIterator[ServerSentEvent]:
    """As /v1/search, told as server-sent events: `run`, `step` as each ends, then `result` or `error`."""
    asked = asked.model_copy(update={"run": asked.run or uuid.uuid4().hex})

    async def work(emit: Emit) -> tuple[str, dict[str, Any]]:
        def progress(step: str, update: Mapping[str, Any]) -> None:
            shown = {name: update[name][:SHOWN] for name in RANKINGS if update.get(name)}
            emit("step", {"step": step, **shown})

        found = await searched(service, key, asked, progress)
        return "result", found.model_dump(mode="json")

    yield ServerSentEvent(event="run", data={"run": asked.run})
    async for event in streamed(service, request, work):
        yield event


async def searched(
    service: Service, key: str, asked: SearchRequest, progress: Progress | None = None
) -> SearchResponse:
    """Run one search of a request."""
    served = service.collections.find(asked.collection, key)
    settings = served.check_settings(asked.settings)
    if unknown := NO_SETTINGS & settings.keys():
        raise BadInput(f"{sorted(unknown)[0]} is no setting; give it beside `settings`")
    if asked.k is not None:
        settings["k"] = asked.k
    if asked.where is not None:
        settings["where"] = asked.where
    shown = await asyncio.to_thread(pictures.brought, asked, served.services.collection)
    scope = served.scope(asked.graph)
    if asked.run is not None:
        await _require_new(scope, asked.run)
    found = await scope.asearch(
        asked.text, run=asked.run, rejected=asked.rejected, progress=progress, **shown, **settings
    )
    service.metrics.searched(found.usage, [dict(each) for each in found.notes])
    return answer(found, served)


async def _require_new(scope: Any, run: str) -> None:
    try:
        await scope.afind(run)
    except BadInput:
        return
    raise BadInput(
        f"there is a run {run!r} already; finish it with POST /v1/runs/{run}/resume, or choose another id"
    )


def answer(found: SearchResult, served: ServedCollection) -> SearchResponse:
    """A search result as the service gives it: addresses of images in the place of paths."""
    values = found.to_dict()
    hits = [
        Hit(
            rank=hit["rank"],
            id=hit["id"],
            url=image_url(hit["id"], served.name),
            scores=hit["scores"],
            reasons=hit["reasons"],
        )
        for hit in values["results"]
    ]
    notes = [{**each, "detail": served.public(each["detail"])} for each in values["notes"]]
    return SearchResponse.model_validate(
        {**values, "results": hits, "notes": notes, "collection": served.name}
    )


def image_url(name: str, collection: str) -> str:
    """Where the service gives an image."""
    return f"/v1/images/{quote(name)}?collection={quote(collection, safe='')}"
