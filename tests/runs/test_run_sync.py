"""A search without an event loop of its own leaves its threads for the next one."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from imagescope_agent.runs.run_graph import run_sync


async def work() -> str:
    return await asyncio.to_thread(lambda: threading.current_thread().name)


def test_a_later_run_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(8):
        run_sync(work())
    started: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", lambda thread: started.append(thread))
    assert run_sync(work()).startswith("imagescope-run")
    assert started == []


def test_tasks_that_a_run_left_behind_are_cancelled() -> None:
    cancelled: list[bool] = []

    async def stays() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def leaves() -> Any:
        task = asyncio.create_task(stays())
        await asyncio.sleep(0)
        return task

    assert run_sync(leaves()).cancelled() and cancelled == [True]
