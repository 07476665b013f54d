"""Whether the service lives and can answer, its collections, its metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from imagescope_agent.judges import JUDGES
from imagescope_agent.registry import graphs
from imagescope_agent.service.context import KeyDep, ServiceDep

router = APIRouter(tags=["status"])


@router.get("/healthz")
async def healthz() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok")


@router.get("/readyz")
async def readyz(service: ServiceDep) -> JSONResponse:
    """The collections are open."""
    return JSONResponse({"ready": service.ready}, 200 if service.ready else 503)


@router.get("/metrics")
async def metrics(service: ServiceDep) -> Response:
    """Metrics for Prometheus; they name no query and no image."""
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/collections")
async def collections(service: ServiceDep, key: KeyDep) -> dict[str, Any]:
    """The collections that the key opens, and what may be asked of them."""
    found = [
        {"name": each.name, "images": len(each.services.collection), "profile": each.services.profile}
        for each in service.collections.visible(key)
    ]
    return {"collections": found, "graphs": [*graphs()], "judges": [*JUDGES]}
