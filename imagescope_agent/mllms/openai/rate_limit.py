"""What is done after a server said that it is asked too much: all wait together, then fewer ask at a time."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType


class Gate:
    """Lets a bounded number of requests through at a time.

    Args:
        most: requests under way at the same time; halved by each `hold`, and raised again by answers.
    """

    def __init__(self, most: int) -> None:
        self._most = self._allowed = most
        self._inside = 0
        self._closed_until = -math.inf  # time of the event loop
        self._answers = 0  # since the number last changed
        self._changed = asyncio.Event()

    def hold(self, seconds: float) -> None:
        """Let nobody in for so long, and then half as many as before."""
        now = asyncio.get_running_loop().time()
        if now >= self._closed_until:  # requests that were under way together are told together
            self._allowed = max(1, self._allowed // 2)
        self._answers = 0
        self._closed_until = max(self._closed_until, now + seconds)

    @property
    def free(self) -> bool:
        """Whether somebody would be let in at once."""
        open_ = asyncio.get_running_loop().time() >= self._closed_until
        return open_ and self._inside < self._allowed

    @property
    def inside(self) -> int:
        """Requests under way."""
        return self._inside

    def enter(self) -> None:
        """Take a place."""
        self._inside += 1

    def leave(self, answered: bool) -> None:
        """Give the place back.

        Args:
            answered: whether the request was.
        """
        self._inside -= 1
        self._answers += answered
        if self._answers >= 4 * self._allowed and self._allowed < self._most:
            self._allowed, self._answers = self._allowed + 1, 0
        self._changed.set()

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.free:
            if (left := self._closed_until - loop.time()) > 0:
                await asyncio.sleep(left)
            else:
                self._changed.clear()
                await self._changed.wait()
        self.enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(kind is None)


def retry_after(header: str) -> float:
    """The seconds that a Retry-After header asks for, in either of its forms; 0 for none, infinity for "inf"."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except (TypeError, ValueError, OverflowError):
            return 0.0
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (date - datetime.now(UTC)).total_seconds()
    return 0.0 if math.isnan(seconds) else max(0.0, seconds)
