"""Rate limits: how long is waited, how many requests are sent at a time, and what is not asked again."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from imagescope_agent.errors import (
    Exhausted,
    Misconfigured,
)
from imagescope_agent.mllms.openai.connection import Server
from imagescope_agent.mllms.openai.rate_limit import retry_after
from imagescope_agent.mllms.role import Role
from tests.mllms.failing import endpoint, request
from tests.mllms.server import FakeServer, Raw


def test_a_date_says_when_to_ask_again() -> None:
    later = datetime.now(UTC) + timedelta(seconds=40)
    assert 30 < retry_after(format_datetime(later, usegmt=True)) <= 40
    assert [retry_after(each) for each in ("3", "-1", "nan", "", "soon")] == [3, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "wait",
    ["inf", "86400", format_datetime(datetime.now(UTC) + timedelta(days=1))],
    ids=["inf", "86400", "tomorrow"],
)
def test_a_wait_without_end_is_not_waited_for(wait: str) -> None:
    held = Raw(status=429, content={"error": "slow down"}, headers={"retry-after": wait})
    with FakeServer(quirk=lambda body: held) as server:
        with pytest.raises(Exhausted):
            asyncio.run(endpoint(server).server().ask({"model": "m", "messages": [{"content": "q"}]}))
        assert len(server.bodies) == 1


def test_an_empty_account_is_not_asked_again() -> None:
    spent = Raw(status=429, content={"error": {"code": "insufficient_quota", "message": "no more"}})
    with FakeServer(quirk=lambda body: spent) as server:
        with pytest.raises(Misconfigured) as caught:
            asyncio.run(endpoint(server).server().ask({"model": "m", "messages": [{"content": "q"}]}))
        assert len(server.bodies) == 1 and caught.value.exit_code == 3


def test_being_asked_to_wait_is_no_attempt_and_all_ask_more_slowly() -> None:
    with FakeServer(faults=[429] * 3, delay=0.02) as server:
        replies = asyncio.run(
            Role("x", endpoint(server, attempts=2, concurrency=4)).ask([request(1), request(2)])
        )
    assert all(reply.text for reply in replies)
    assert all(reply.problem is None for reply in replies)


def test_after_429_nobody_asks_before_the_time_and_fewer_ask_at_a_time() -> None:
    wave, waits = 4, 1.0
    together, lock = threading.Barrier(wave), threading.Lock()
    come: list[float] = []
    told: list[float] = []
    under_way = [0]
    most: list[int] = []

    def limited(body: dict[str, Any]) -> Raw | None:
        with lock:
            come.append(time.monotonic())
            first = len(come) <= wave
        if first:
            together.wait(60)
            told.append(time.monotonic())
            return Raw(status=429, content={"error": "slow down"}, headers={"retry-after": str(waits)})
        with lock:
            under_way[0] += 1
            most.append(under_way[0])
        time.sleep(0.03)
        with lock:
            under_way[0] -= 1
        return None

    async def ask(client: Server) -> list[dict[str, Any]]:
        bodies = [{"model": "m", "messages": [{"content": str(number)}]} for number in range(10)]
        return await asyncio.gather(*map(client.ask, bodies))

    with FakeServer(quirk=limited) as server:
        answers = asyncio.run(ask(endpoint(server, concurrency=wave).server()))
    assert len(answers) == 10 and len(come) == 10 + wave  # only what was held back was sent again
    assert min(come[wave:]) >= min(told) + waits  # also what had not been told
    assert max(most[:8]) <= wave // 2 and max(most) < wave
