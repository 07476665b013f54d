"""The large images of the page, and their files to download: of the collection by id, uploads by name."""

from __future__ import annotations

import asyncio
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from imagescope_agent.chat.html import PICTURES
from imagescope_agent.chat.thumbnails import UPLOADS, find_shown, load_indexed
from imagescope_agent.errors import ImageScopeError
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.images import ImageProblem

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response


def add_picture_routes(app: FastAPI, collection: FolderCollection) -> None:
    """Serve what the page shows and nothing else, behind the same access control.

    An image is encoded anew; `?download=1` gives its file as it was indexed, which no browser opens by itself.
    """
    from starlette.responses import Response

    async def picture(request: Request) -> Response:
        name = str(request.path_params["name"])
        return await answer(name if name in collection else "", "download" in request.query_params)

    async def upload(request: Request) -> Response:
        name = collection.location.resolve() / UPLOADS / str(request.path_params["name"])
        return await answer(str(name), "download" in request.query_params)

    async def answer(name: str, download: bool) -> Response:
        read = original if download else large
        try:
            content = await asyncio.to_thread(read, name, collection)
        except (ImageScopeError, OSError, ValueError, RuntimeError):
            return Response("there is no such picture\n", 404, media_type="text/plain")
        if not download:
            return Response(content, media_type="image/webp")
        told = f"attachment; filename*=UTF-8''{quote(Path(name).name, errors='replace')}"
        return Response(content, headers={"content-disposition": told}, media_type="application/octet-stream")

    app.add_route(f"/{PICTURES}/{{name:path}}", picture, methods=["GET"])
    app.add_route(f"/{UPLOADS}/{{name}}", upload, methods=["GET"])


def large(name: str, collection: FolderCollection) -> bytes:
    """An image as it was indexed, or an upload, as WebP.

    Raises:
        ImageProblem: it is gone, changed, or no image that the page shows.
    """
    buffer = io.BytesIO()
    load_indexed(*find_shown(name, collection)).save(buffer, "WEBP", quality=92, method=2)
    return buffer.getvalue()


def original(name: str, collection: FolderCollection) -> bytes:
    """The file of an image as it was indexed, or of an upload; raises as `large`."""
    path, key = find_shown(name, collection)
    content = path.read_bytes()
    if key and hashlib.sha256(content).hexdigest() != key:
        raise ImageProblem(path, "it changed since it was indexed", mend="index the folder again")
    return content
