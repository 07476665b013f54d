"""Requests of many tasks: taken in turns, never in the way of the event loop."""

from __future__ import annotations

import asyncio
from pathlib import Path

from imagescope_agent.mllms.engine.request_queue import Job, RequestQueue
from imagescope_agent.mllms.role import Request, Role
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


def test_the_event_loop_goes_on_while_a_model_works(qwen3_vl: Path) -> None:
    role = Role("captioner", TransformersChat(checkpoint=str(qwen3_vl)))
    asked = [Request(text="Describe.", images=(picture(n),)) for n in range(6)]

    async def ticking() -> int:
        working = asyncio.ensure_future(role.ask(asked, max_tokens=20))
        ticks = 0
        while not working.done():
            await asyncio.sleep(0.001)
            ticks += 1
        assert len(await working) == len(asked)
        return ticks

    assert asyncio.run(ticking()) >= 5
