"""ASGI middleware in front of a service: bounds the size of a body before anything reads it; answers HEAD."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
DISCARDED, PATIENCE = 4, 10.0  # times the limit, and seconds, that the rest of a refused body may take


class HeadRequests:
    """Answers HEAD as GET without the body (RFC 9110, 9.3.2)."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self.app({**scope, "method": "GET"}, receive, sent)


class BodyLimit:
    """Refuses bodies of more than `most` bytes with 413, whether their length was told or not."""

    def __init__(self, app: App, *, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"")
        if length and not (length.isdigit() and len(length) < 12 and int(length) <= self.most):
            await self._refuse(receive, send)
            return
        read, over, begun = 0, False, False

        async def received() -> Message:
            nonlocal read, over
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.most:
                over = True
                return {"type": "http.disconnect"}  # whoever reads the body stops here
            return message

        async def sent(message: Message) -> None:
            nonlocal begun
            if over and not begun:
                return  # the answer to half a body; ours is sent instead
            begun = True
            await send(message)

        try:
            await self.app(scope, received, sent)
        except ClientDisconnect:  # which is what the end of the body looks like to whoever reads it
            if not over:
                raise
        if over and not begun:
            await self._refuse(receive, send)

    async def _refuse(self, receive: Receive, send: Send) -> None:
        await discard(receive, most=self.most)
        message = f"a request may have {self.most // 2**20} MiB; send fewer or smaller pictures"
        body = json.dumps({"error": {"type": "too_large", "message": message}}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),  # whole, though the connection is closed in a body
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def discard(receive: Receive, *, most: int) -> None:
    """Take the rest of a body, where it ends soon: who is still sending when the connection ends sees no answer."""
    read = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while read <= DISCARDED * most:
                message = await receive()
                read += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
