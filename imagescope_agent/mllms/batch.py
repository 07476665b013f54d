"""Concurrent requests of one batch."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
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


@contextmanager
def one_caller() -> Iterator[None]:
    """Requests made inside have the same `CALLER`, that of around where there is one."""
    token = CALLER.set(CALLER.get() or object())
    try:
        yield
    finally:
        CALLER.reset(token)
