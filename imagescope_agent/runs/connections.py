"""Connections to PostgreSQL that stay open between the searches of a service.

Opening one and looking at the tables takes longer than many a search. A pool of psycopg_pool, when its server is away,
lets a search wait and then says that time ran out, without the reason; here it is told at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

MOST_IDLE = 8  # connections to a database that wait for a next search
RESTED = 60.0  # seconds after which one is not used again: what lies between may have dropped it in silence


class Connections:
    """Idle connections by the URL of their database, of one event loop.

    Args:
        most: how many of each database; none with 0.
    """

    def __init__(self, most: int = MOST_IDLE) -> None:
        self._most = most
        self._idle: dict[str, list[tuple[float, Any]]] = {}

    async def take(self, url: str) -> Any | None:
        """A connection that answers; None where none is idle, or the server was restarted: then all are closed."""
        idle = self._idle.get(url, [])
        while idle:
            since, base = idle.pop()
            if time.monotonic() - since <= RESTED and await _answers(base):
                return base
            await base.close()
            await self._close(idle)
        return None

    async def give(self, url: str, base: Any) -> None:
        """Keep a connection that nothing is under way in, or close it; those that rested too long are closed."""
        idle = self._idle.setdefault(url, [])
        while idle and time.monotonic() - idle[0][0] > RESTED:  # below the one that each search takes
            await idle.pop(0)[1].close()
        if len(idle) < self._most and not base.closed and base.info.transaction_status == 0:  # idle
            idle.append((time.monotonic(), base))
        else:
            await base.close()

    async def close(self) -> None:
        """Close all that are idle, and each that is given from now on."""
        self._most = 0
        for idle in self._idle.values():
            await self._close(idle)

    async def _close(self, idle: list[tuple[float, Any]]) -> None:
        while idle:
            await idle.pop()[1].close()


#: Of event loops whose owner keeps connections; elsewhere a loop may end with its first search.
_KEPT: WeakKeyDictionary[asyncio.AbstractEventLoop, Connections] = WeakKeyDictionary()


@asynccontextmanager
async def kept_connections() -> AsyncIterator[None]:
    """Let all that this event loop opens use the connections of those before; they are closed at the end."""
    loop = asyncio.get_running_loop()
    if loop in _KEPT:  # an owner around this one
        yield
        return
    connections = _KEPT[loop] = Connections()
    try:
        yield
    finally:
        del _KEPT[loop]
        await connections.close()


def connections() -> Connections:
    """Those of the running event loop; none stay open where nobody keeps them."""
    return _KEPT.get(asyncio.get_running_loop()) or Connections(0)


async def _answers(base: Any) -> bool:
    from psycopg import OperationalError

    try:
        await base.execute("select 1")
    except OperationalError:
        return False
    except BaseException:  # cancelled: nobody else knows of it any more
        await base.close()
        raise
    return True
