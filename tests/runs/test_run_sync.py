"""A search without an event loop of its own leaves its threads for the next one."""

from __future__ import annotations

import asyncio
import os
import threading
from contextvars import ContextVar
from typing import Any

import pytest

from imagescope_agent.runs.run_graph import THREADS, run_sync


async def work() -> str:
    return await asyncio.to_thread(lambda: threading.current_thread().name)


def test_a_later_run_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once() -> None:
        together = threading.Barrier(THREADS)
        await asyncio.gather(*(asyncio.to_thread(together.wait, 60) for _ in range(THREADS)))

    run_sync(at_once())  # each of them has been started
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


async def loop_of() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_a_later_run_has_the_same_event_loop_unless_one_failed_or_left_tasks() -> None:
    async def fails() -> None:
        raise LookupError

    async def leaves() -> asyncio.AbstractEventLoop:
        asyncio.get_running_loop().create_task(asyncio.sleep(3600))
        return asyncio.get_running_loop()

    first = run_sync(loop_of())
    assert run_sync(loop_of()) is first and not first.is_closed()
    with pytest.raises(LookupError):
        run_sync(fails())
    second = run_sync(loop_of())
    assert first.is_closed() and second is not first
    assert run_sync(leaves()) is second and second.is_closed()
    assert run_sync(loop_of()) is not second


def test_a_run_sees_the_context_of_whoever_starts_it() -> None:
    name: ContextVar[str] = ContextVar("name")

    async def told() -> str:
        return name.get()

    for each in ("a", "b"):
        name.set(each)
        assert run_sync(told()) == each


def test_a_forked_process_has_a_loop_of_its_own_and_leaves_that_of_its_parent() -> None:
    before = run_sync(loop_of())
    pid = os.fork()
    if pid == 0:
        ours = run_sync(loop_of())
        before.close()
        os._exit(0 if ours is not before and not before.is_closed() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert run_sync(loop_of()) is before
    assert run_sync(work()).startswith("imagescope-run")  # another thread still wakes it


def test_the_loop_of_another_thread_or_of_a_notebook_cell_is_closed_with_its_run() -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=lambda: loops.append(run_sync(loop_of())))
    thread.start()
    thread.join()

    async def cell() -> asyncio.AbstractEventLoop:
        return run_sync(loop_of())

    loops.append(asyncio.run(cell()))
    assert all(each.is_closed() for each in loops)
