"""What other threads answer is waited for together, and the event loop is woken once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from imagescope_agent.mllms.batch import outcomes


def test_outcomes_keep_their_order_and_wake_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    futures: list[Future[int]] = [Future() for _ in range(40)]
    woken: list[object] = []

    def answer() -> None:
        for number, future in reversed(list(enumerate(futures))):
            if number == 3:
                future.set_exception(LookupError("three"))
            else:
                future.set_result(number)

    async def wait() -> list[Any]:
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def counted(*given: Any) -> None:
            woken.append(given)
            wake(*given)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        threading.Thread(target=answer).start()
        return await outcomes(futures)

    found = asyncio.run(wait())
    assert [each for each in found if not isinstance(each, Exception)] == [n for n in range(40) if n != 3]
    assert isinstance(found[3], LookupError) and len(woken) == 1


def test_of_nothing_and_of_what_is_done_nothing_is_waited_for() -> None:
    done: Future[int] = Future()
    done.set_result(1)
    dropped: Future[int] = Future()
    dropped.cancel()
    assert asyncio.run(outcomes([])) == []
    found = asyncio.run(outcomes([done, dropped]))
    assert found[0] == 1 and isinstance(found[1], asyncio.CancelledError)


def test_a_cancelled_caller_cancels_what_it_waits_for() -> None:
    futures: list[Future[int]] = [Future() for _ in range(3)]

    async def give_up() -> None:
        task = asyncio.create_task(outcomes(futures))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert all(future.cancelled() for future in futures)
