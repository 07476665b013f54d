"""The images of a collection, encoded anew: nothing of a file but its pixels leaves this machine."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response

from imagescope_agent.common.thumbnails import encode_thumbnail
from imagescope_agent.retrieval.images import ImageProblem
from imagescope_agent.service.collections import ServedCollection, Unknown
from imagescope_agent.service.context import CollectionDep
from imagescope_agent.service.pictures import known

router = APIRouter(prefix="/v1/images", tags=["images"])
MEDIA = {b"\x89PNG": "image/png", b"\xff\xd8": "image/jpeg", b"RIFF": "image/webp"}  # by first bytes
CACHE = {"Cache-Control": "private, max-age=3600"}


@router.get("/{name:path}", response_class=Response)
async def image(
    name: str,
    served: CollectionDep,
    side: Annotated[
        int | None, Query(ge=16, le=1024, description="longest side in pixels, for a thumbnail")
    ] = None,
) -> Response:
    """An image, its longest side at most 1024 pixels, or a thumbnail."""
    data = await asyncio.to_thread(_encoded, served, name, side)
    media = next(kind for head, kind in MEDIA.items() if data.startswith(head))
    return Response(data, media_type=media, headers=CACHE)


def _encoded(served: ServedCollection, name: str, side: int | None) -> bytes:
    collection = served.services.collection
    found = known(name, collection)
    try:
        if side is None:
            return collection.image_ref(found).data
        return encode_thumbnail(collection.picture(found).image, side)
    except ImageProblem as problem:
        raise Unknown(
            f"the image {found!r} cannot be shown: {problem.reason}; index the folder again"
        ) from problem
