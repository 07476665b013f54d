"""How many searches run at a time, how many wait, and what happens when a client hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from starlette.requests import Request

from imagescope_agent.errors import ImageScopeError

RETRY_AFTER = 2  # seconds, told to a client that finds the queue full

_Value = TypeVar("_Value")


class TooBusy(ImageScopeError):
    """Enough requests are waiting already."""


class TimedOut(ImageScopeError):
    """A request took longer than the service allows; what it found is kept in its run."""


class ClientGone(Exception):
    """The client closed the connection; nobody reads the answer."""


class AdmissionQueue:
    """Lets `running` requests run at a time, first come first served, and `waiting` more wait.

    Args:
        running: how many run.
        waiting: how many wait; the next one is refused.
        timeout: seconds that a request may take, its waiting included.

    Attributes:
        most: how many run or wait.
        admitted: how many do now.
    """

    def __init__(self, running: int, waiting: int, timeout: float) -> None:
        self._slots, self.most = asyncio.Semaphore(running), running + waiting
        self.timeout, self.admitted = timeout, 0

    def require_room(self) -> None:
        """Make sure that one more request may wait.

        Raises:
            TooBusy: too many wait.
        """
        if self.admitted >= self.most:
            raise TooBusy(f"{self.admitted} requests run or wait; try again in {RETRY_AFTER} seconds")

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it.

        Raises:
            TooBusy: too many wait.
        """
        self.require_room()
        self.admitted += 1
        try:
            async with self._slots:
                yield
        finally:
            self.admitted -= 1

    async def run(self, work: Coroutine[Any, Any, _Value]) -> _Value:
        """Do something in a slot within the time limit.

        Raises:
            TooBusy: too many wait.
            TimedOut: it takes too long.
        """
        try:
            async with asyncio.timeout(self.timeout), self.slot():
                return await work
        except TimeoutError as error:
            raise TimedOut(
                f"no answer within {self.timeout:g} seconds; a run whose id you gave can be resumed"
            ) from error
        finally:
            work.close()  # of work that was never begun


async def while_connected(request: Request, work: Coroutine[Any, Any, _Value]) -> _Value:
    """Do something for a client; it is cancelled when the client hangs up.

    Raises:
        ClientGone: the client hung up.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        for each in (task, watch):
            each.cancel()
        with suppress(asyncio.CancelledError, Exception):  # told above
            await task


async def _gone(request: Request) -> None:
    """Return when the client hangs up; the body of the request was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
