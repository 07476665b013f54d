"""Work told as server-sent events: each event as it happens, the answer or the error last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any

from fastapi import Request
from fastapi.sse import ServerSentEvent

from imagescope_agent.errors import ImageScopeError
from imagescope_agent.service.admission import ClientGone
from imagescope_agent.service.context import Service
from imagescope_agent.service.problems import told

Emit = Callable[[str, dict[str, Any]], None]  # (event, data)
Work = Callable[[Emit], Coroutine[Any, Any, tuple[str, dict[str, Any]]]]  # -> the last (event, data)


async def streamed(service: Service, request: Request, work: Work) -> AsyncIterator[ServerSentEvent]:
    """The events of something that asks models, in the queue and within the limits of `Service.run`.

    Args:
        service: counts it and lets it in.
        request: whose client reads; when it hangs up, the work is cancelled.
        work: is given what emits an event, and returns the last one; an error is the event "error" in its place.
    """
    events: asyncio.Queue[ServerSentEvent] = asyncio.Queue()

    def emit(event: str, data: dict[str, Any]) -> None:
        events.put_nowait(ServerSentEvent(event=event, data=data))

    async def worked() -> None:
        try:
            emit(*await service.run(request, work(emit)))
        except ImageScopeError as error:
            _, kind, message = told(error, service.collections)
            service.metrics.finished(request, kind)
            emit("error", {"type": kind, "message": message})

    task = asyncio.ensure_future(worked())
    next_event: asyncio.Task[ServerSentEvent] | None = None
    try:
        while not (task.done() and events.empty()):
            next_event = asyncio.ensure_future(events.get())
            await asyncio.wait({task, next_event}, return_when=asyncio.FIRST_COMPLETED)
            if next_event.done():
                yield next_event.result()
            else:
                next_event.cancel()
        task.result()  # any other exception is the server's to log
    finally:
        for each in (task, next_event):
            if each is not None:
                each.cancel()
        with suppress(asyncio.CancelledError, ClientGone):  # nobody is there to be told
            await task
