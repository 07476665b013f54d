"""No caller falls behind an equal share of the engine by more than a batch of each kind of work."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from imagescope_agent.mllms.batch import CALLER, one_caller
from imagescope_agent.mllms.engine.fair_shares import CallerShares
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.runs.run_graph import streamed
from tests.mllms.checkpoints import picture


@pytest.mark.parametrize("seed", range(6))
def test_no_caller_falls_behind_by_more_than_a_batch_of_each_kind(seed: int) -> None:
    """Callers who always have work of one kind; a batch of answers is for some of those who have had least."""
    rng, shares = Random(seed), CallerShares()
    scoring = [f"score {number}" for number in range(rng.randint(1, 9))]
    decoding = [f"decode {number}" for number in range(rng.randint(1, 9))]
    longest = {"score": rng.uniform(1, 5), "decode": rng.uniform(0.01, 0.1)}
    had = dict.fromkeys([*scoring, *decoding], 0.0)
    for _ in range(3000):
        work: Any = shares.next(scoring=scoring, decoding=decoding)
        took, tokens = longest[work] * rng.uniform(0.3, 1), rng.randint(1, 9)
        served = sorted(scoring, key=shares.seconds)[: rng.randint(1, 3)] if work == "score" else decoding
        shares.spent(took, dict.fromkeys(served, (tokens, 1)), set(had))
        for caller in served:
            had[caller] += took / len(served)
        assert sum(had.values()) / len(had) - min(had.values()) <= sum(longest.values())
    assert all(shares.seconds(caller) == pytest.approx(seconds) for caller, seconds in had.items())


def test_what_had_nothing_to_do_saves_up_no_time() -> None:
    shares = CallerShares()
    for _ in range(100):
        assert shares.next(scoring=[], decoding=["a"]) == "decode"
        shares.spent(1.0, {"a": (1, 1)}, {"a"})
    done = []
    for _ in range(10):
        work = shares.next(scoring=["b"], decoding=["a"])
        assert work is not None
        shares.spent(1.0, {"b" if work == "score" else "a": (1, 1)}, {"a", "b"})
        done.append(work)
    assert done.count("decode") == done.count("score") == 5
    assert shares.next(scoring=[], decoding=[]) is None


def test_who_waits_is_not_passed_by_ever_new_callers() -> None:
    shares, served = CallerShares(), 0
    shares.spent(1.0, {"a": (1, 1)}, {"a"})
    for number in range(200):
        work = shares.next(scoring=[f"new {number}"], decoding=["a"])
        caller = f"new {number}" if work == "score" else "a"
        served += caller == "a"
        shares.spent(0.1, {caller: (1, 1)}, {"a"})
    assert served >= 90


def test_a_batch_is_divided_by_tokens_and_whoever_is_gone_is_forgotten() -> None:
    shares = CallerShares()
    shares.spent(8.0, {"a": (30, 3), "b": (10, 2)}, {"a", "b"})
    assert (shares.seconds("a"), shares.seconds("b")) == (6.0, 2.0)
    assert (shares.job_seconds("a"), shares.job_seconds("b")) == (2.0, 1.0)
    assert shares.seconds("new") == 4.0
    for number in range(1000):
        shares.spent(1.0, {number: (1, 1)}, {"c"})
        shares.spent(1.0, {"c": (1, 1)}, {"c"})
    assert len(shares._seconds) == len(shares._job) < 10


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
