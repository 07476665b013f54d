"""Searches of a service use connections to PostgreSQL again; none that broke, or is in the middle of something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.runs import connections
from imagescope_agent.runs.checkpoints import open_store
from imagescope_agent.runs.connections import MOST_IDLE, kept_connections
from imagescope_agent.runs.gone import StoreGone
from imagescope_agent.runs.run_store import DatabaseRuns
from tests.engines import Server

ENDS = 30  # seconds after which a session that still stands was not closed


async def session(url: str) -> int:
    async with DatabaseRuns(url, "s:").keeping("r") as (saver, _):
        return int(saver.conn.info.backend_pid)  # type: ignore[union-attr]


async def sessions(url: str, count: int) -> list[int]:
    """The sessions of so many searches at once."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(open_store(url)) for _ in range(count)]
        return [each.conn.info.backend_pid for each in found]  # type: ignore[attr-defined]


def within(story: Callable[[], Awaitable[Any]]) -> Any:
    """What is done where connections are kept."""

    async def kept() -> Any:
        async with kept_connections():
            return await story()

    return asyncio.run(kept())


def others(url: str) -> Sequence[tuple[int, int]]:
    """The other sessions of a database, and how many locks each holds."""
    import psycopg

    with psycopg.connect(url) as base:
        return base.execute(
            "select pid, (select count(*) from pg_locks l where l.pid = a.pid and locktype = 'advisory') "
            "from pg_stat_activity a where datname = current_database() and pid != pg_backend_pid() "
            "and backend_type = 'client backend'"
        ).fetchall()


def left(url: str, count: int = 0) -> list[int]:
    """The other sessions that stay, once they are so few: PostgreSQL ends one a moment after its client closed it."""
    end = time.monotonic() + ENDS
    while len(found := others(url)) > count and time.monotonic() < end:
        time.sleep(0.01)
    return [pid for pid, _ in found]


def test_searches_use_a_connection_again_and_leave_none_behind(url: str) -> None:
    async def story() -> list[int]:
        found = [await session(url) for _ in range(3)]
        assert others(url) == [(found[0], 0)], "no lock is left in it"
        return found

    assert len(set(within(story))) == 1
    assert left(url) == []


def test_without_a_service_nothing_stays_open(url: str) -> None:
    async def story() -> None:
        for _ in range(2):
            await session(url)
            assert left(url) == []

    asyncio.run(story())


def test_few_connections_stay_open_after_many_searches_at_once(url: str) -> None:
    async def story() -> None:
        found = await sessions(url, MOST_IDLE + 2)
        kept = left(url, MOST_IDLE)
        assert len(kept) == MOST_IDLE and set(kept) < set(found)

    within(story)


def test_a_search_after_a_restart_of_the_database_gets_a_new_connection(url: str, postgres: Server) -> None:
    async def story() -> None:
        before = set(await sessions(url, 3))
        postgres.kill()
        postgres.start()
        with pytest.raises(BadInput, match="no run"):  # it is answered
            await DatabaseRuns(url, "s:").find("r")
        postgres.kill()
        try:
            with pytest.raises(StoreGone, match="does not answer"):
                await session(url)
        finally:
            postgres.start()
        after = await session(url)
        assert after not in before
        assert left(url, 1) == [after] and await session(url) == after

    within(story)


def test_a_connection_in_which_something_failed_or_was_cancelled_is_closed(url: str) -> None:
    async def holds(begun: asyncio.Event) -> None:
        async with DatabaseRuns(url, "s:").keeping("r"):
            begun.set()
            await asyncio.sleep(60)

    async def story() -> None:
        first = await session(url)
        with pytest.raises(ValueError):
            async with open_store(url):
                raise ValueError
        begun = asyncio.Event()
        task = asyncio.ensure_future(holds(begun))
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        assert await asyncio.wait_for(session(url), 30) != first, "no lock of the cancelled one is left"

    within(story)


def test_a_connection_that_waited_for_long_is_not_used(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        first = await session(url)
        monkeypatch.setattr(connections, "RESTED", -1.0)
        assert await session(url) != first

    within(story)


def test_connections_that_no_search_takes_any_more_are_closed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        await sessions(url, 3)
        assert len(left(url, 3)) == 3
        monkeypatch.setattr(connections, "RESTED", 1.0)
        for _ in range(4):  # each takes the one that was given last
            await asyncio.sleep(0.5)
            last = await session(url)
        assert left(url, 1) == [last]

    within(story)
