"""Kept runs: their results, their traces; one that was cut off is finished."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BadInput
from imagescope_agent.runs.run_store import scope_of
from imagescope_agent.service.collections import ServedCollection, Unknown
from imagescope_agent.service.context import CollectionDep, ServiceDep
from imagescope_agent.service.routes.search import answer
from imagescope_agent.service.schemas import Name, SearchResponse
from imagescope_agent.traces.finding import find_run
from imagescope_agent.traces.pages.page import render
from imagescope_agent.traces.trace import Trace

router = APIRouter(prefix="/v1/runs", tags=["runs"])


@router.get("/{run}")
async def run(served: CollectionDep, run: Name) -> dict[str, Any]:
    """A run: its result when it is finished, else what it is."""
    scope, finished = await _found(served, run)
    result = answer(await scope.aresume(run), served).model_dump(mode="json") if finished else None
    return {"run": run, "graph": scope.graph, "finished": finished, "result": result}


@router.post("/{run}/resume")
async def resume(served: CollectionDep, run: Name, request: Request, service: ServiceDep) -> SearchResponse:
    """Finish a run that was cut off; its finished steps are not repeated."""
    scope, _ = await _found(served, run)
    return answer(await service.run(request, scope.aresume(run)), served)


@router.get("/{run}/trace", response_class=HTMLResponse)
async def trace(served: CollectionDep, run: Name, form: Literal["html", "json"] = "html") -> Response:
    """What every step did, as a page or as JSON."""
    scope, _ = await _found(served, run)
    if scope.traces is None:
        raise Unknown("no traces are kept here")
    own = scope_of(served.services.collection.location)
    try:
        found = await asyncio.to_thread(lambda: Trace(*find_run(run, scope.traces, scope=own)))
    except BadInput as error:
        raise Unknown(f"there is no trace of {run!r}") from error
    if form == "json":
        return JSONResponse(served.public_values(found.to_dict()))
    return HTMLResponse(served.public(await asyncio.to_thread(render, found)))


async def _found(served: ServedCollection, run: str) -> tuple[ImageScope, bool]:
    """A run's searches, by the graph that made it, and whether it is finished."""
    try:
        graph, finished = await served.scope("retrieve").afind(run)
        return served.scope(graph), finished
    except BadInput as error:
        raise Unknown(f"there is no run {run!r}; search again") from error
