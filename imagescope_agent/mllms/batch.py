"""Requests that are asked together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

_Value = TypeVar("_Value")

#: Which batch of requests the current task belongs to; a model that queues requests is fair between callers.
CALLER: ContextVar[object | None] = ContextVar("imagescope_caller", default=None)


async def together(work: Iterable[Coroutine[Any, Any, _Value]]) -> list[_Value]:
    """All answers; when one request fails for good the others are called off."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def one_caller() -> Iterator[None]:
    """What is asked inside belongs together."""
    token = CALLER.set(object())
    try:
        yield
    finally:
        CALLER.reset(token)
