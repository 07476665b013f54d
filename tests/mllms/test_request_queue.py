"""Jobs of many callers are taken in turns, and never block the event loop."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.mllms.engine.request_queue import Job, RequestQueue
from imagescope_agent.mllms.role import Request
from imagescope_agent.mllms.transformers_chat import TransformersChat
from tests.mllms.checkpoints import picture


def job(caller: str, *, scored: bool = True) -> Job:
    return Job(messages=[], caller=caller, labels=(1, 2) if scored else None)


def test_callers_take_turns_however_much_one_asks() -> None:
    queue = RequestQueue()
    queue.put([job("many") for _ in range(6)])
    queue.put([job("few"), job("few"), job("other")])
    callers = [str(each.caller) for each in queue.take_to_score(5)]
    assert sorted(callers[:3]) == ["few", "many", "other"] and callers[3:] == ["many", "few"]
    assert [each.caller for each in queue.take_to_score(99)] == ["many"] * 4 and not queue


def test_a_question_that_was_given_up_is_never_asked() -> None:
    queue = RequestQueue()
    kept, given_up = job("a"), job("a")
    given_up.future.cancel()
    queue.put([given_up, kept, job("a", scored=False)])
    assert queue.take_to_score(9) == [kept] and len(queue.take_to_generate(9)) == 1


def test_the_event_loop_runs_while_the_model_works(qwen3_vl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl))
    runner = model.engine().backend.runner  # type: ignore[attr-defined]
    forward, started, released = runner.hidden, threading.Event(), threading.Event()

    def hidden(*args: Any, **options: Any) -> Any:
        started.set()
        assert released.wait(timeout=60), "the event loop does not run"
        return forward(*args, **options)

    async def ask() -> int:
        request = Request(text="Describe.", images=(picture(0),))
        working = asyncio.ensure_future(model.ainvoke(request.messages(), max_tokens=2))
        while not started.is_set():
            await asyncio.sleep(0.001)
        assert not working.done()
        released.set()
        return len(str((await working).content))

    monkeypatch.setattr(runner, "hidden", hidden)
    asyncio.run(ask())
