"""Concurrent requests of one batch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

_Value = TypeVar("_Value")

#: The search or, outside of one, the batch of requests that the current task belongs to; the engine serves callers in
#: turn.
CALLER: ContextVar[object | None] = ContextVar("imagescope_caller", default=None)


async def together(coroutines: Iterable[Coroutine[Any, Any, _Value]]) -> list[_Value]:
    """All results, in order; when one coroutine raises, the others are cancelled."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def outcomes(futures: Sequence[Future[_Value]]) -> list[_Value | BaseException]:
    """What each future of other threads ends with, in order; the event loop is woken once, by the last of them.

    A task that is cancelled while it waits cancels them.
    """
    loop = asyncio.get_running_loop()
    last, left, lock = loop.create_future(), len(futures), threading.Lock()

    def wake() -> None:
        if not last.done():
            last.set_result(None)

    def ended(_: object) -> None:
        nonlocal left
        with lock:
            left -= 1
            ready = not left
        if ready and not loop.is_closed():  # the caller may be gone
            loop.call_soon_threadsafe(wake)

    for future in futures:
        future.add_done_callback(ended)
    try:
        if futures:
            await last
    except asyncio.CancelledError:
        for future in futures:
            future.cancel()
        raise
    return [_outcome(future) for future in futures]


def _outcome(future: Future[Any]) -> Any:
    if future.cancelled():
        return asyncio.CancelledError()
    error = future.exception()
    return future.result() if error is None else error


@contextmanager
def one_caller() -> Iterator[None]:
    """Requests made inside have the same `CALLER`, that of around where there is one."""
    token = CALLER.set(CALLER.get() or object())
    try:
        yield
    finally:
        CALLER.reset(token)
