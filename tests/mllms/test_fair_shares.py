"""No caller falls behind an equal share of the engine by more than a batch of each kind of work."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from imagescope_agent.mllms.batch import CALLER, one_caller
from imagescope_agent.mllms.engine.fair_shares import FairShares
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.runs.run_graph import streamed
from tests.mllms.checkpoints import picture


@pytest.mark.parametrize("seed", range(6))
def test_each_kind_gets_the_time_of_its_callers(seed: int) -> None:
    rng, shares = Random(seed), FairShares()
    callers: Any = {"score": rng.randint(1, 9), "decode": rng.randint(1, 9)}
    longest: Any = {"score": rng.uniform(1, 5), "decode": rng.uniform(0.01, 0.1)}
    spent: Any = {"score": 0.0, "decode": 0.0}
    for _ in range(3000):
        work: Any = shares.next(scoring=True, decoding=True)
        took = longest[work] * rng.uniform(0.3, 1)
        shares.spent(work, took, callers[work])
        spent[work] += took
        behind = spent["score"] / callers["score"] - spent["decode"] / callers["decode"]
        assert -longest["decode"] / callers["decode"] <= behind <= longest["score"] / callers["score"]


def test_what_had_nothing_to_do_saves_up_no_time() -> None:
    shares = FairShares()
    for _ in range(100):
        assert shares.next(scoring=False, decoding=True) == "decode"
        shares.spent("decode", 1.0, 1)
    done = []
    for _ in range(10):
        work = shares.next(scoring=True, decoding=True)
        assert work is not None
        shares.spent(work, 1.0, 1)
        done.append(work)
    assert done.count("decode") == done.count("score") == 5
    assert shares.next(scoring=False, decoding=False) is None


def test_replies_go_on_while_many_answers_are_waited_for(
    qwen3_vl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each scoring batch is as long as twenty steps of decoding, and there is always another."""
    model = TransformersChat(checkpoint=str(qwen3_vl), draft_tokens=0)
    engine, now, log = model.engine(), [0.0], list[str]()
    backend: Any = engine.backend
    backend.score_slots, score, step = 2, backend.score, backend.step

    def scoring(jobs: Any) -> None:
        now[0] += 20.0
        log.append("score")
        score(jobs)

    def stepping() -> Any:
        now[0] += 1.0
        log.append("step")
        return step()

    monkeypatch.setattr(backend, "score", scoring)
    monkeypatch.setattr(backend, "step", stepping)
    monkeypatch.setattr("imagescope_agent.mllms.engine.engine.time.perf_counter", lambda: now[0])
    role = Role("verifier", model)

    async def both() -> None:
        asked = [Request(text=f"Is it {number}?", images=(picture(number % 3),)) for number in range(40)]
        with one_caller():
            answers = asyncio.create_task(role.choose(asked, ("Yes", "No")))
        with one_caller():
            reply = asyncio.create_task(role.ask([Request(text="Say it.")], max_tokens=60))
        await asyncio.gather(reply, answers)

    asyncio.run(both())
    steps = [index for index, each in enumerate(log) if each == "step"]
    assert log.count("score") == 20 and len(steps) > 40
    # the reply gets half of the time: it does not wait for all answers
    assert log[steps[0] : steps[-1]].count("score") <= len(steps) / 20 + 1


def test_a_run_is_one_caller_however_often_it_asks() -> None:
    seen = []

    class Graph:
        async def astream(self, *given: Any, **options: Any) -> Any:
            for _ in range(2):
                with one_caller():
                    seen.append(CALLER.get())
                yield {}

    async def runs() -> None:
        await asyncio.gather(*(streamed(Graph(), {}, {}, None) for _ in range(2)))

    asyncio.run(runs())
    assert len(seen) == 4 and len(set(map(id, seen))) == 2
    assert CALLER.get() is None
