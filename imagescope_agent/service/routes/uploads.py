"""Pictures that clients bring once and then name: as references, as documents of a reranking."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from imagescope_agent.errors import BadInput
from imagescope_agent.service import pictures
from imagescope_agent.service.context import CollectionDep
from imagescope_agent.service.schemas import UploadResponse

router = APIRouter(prefix="/v1/uploads", tags=["images"])
BODY = {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}, "required": True}


@router.post("", status_code=201, openapi_extra={"requestBody": BODY})
async def upload(served: CollectionDep, request: Request) -> UploadResponse:
    """Keep a picture, sent as the body, beside the index; its id stands wherever a request takes an image."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > pictures.MOST_BYTES:
        raise BadInput(f"a picture may have {pictures.MOST_BYTES // 2**20} MiB; send a smaller one")
    data = await request.body()
    name = await asyncio.to_thread(pictures.kept, data, served.services.collection)
    return UploadResponse(id=name, collection=served.name)
