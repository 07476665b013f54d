"""Searches that arrive at once: none ends much later than with an equal share, counted in tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from imagescope_agent.lab.benchmarks.arrivals import Served, serve, token_slowdowns
from imagescope_agent.mllms.batch import one_caller
from imagescope_agent.mllms.engine import engine as engine_module
from imagescope_agent.mllms.engine.backends.base import Backend
from imagescope_agent.mllms.engine.config import EngineConfig
from imagescope_agent.mllms.engine.engine import Engine
from imagescope_agent.mllms.engine.request_queue import EngineStats, GenerateOutput, Job, ScoreOutput
from imagescope_agent.mllms.request import Request
from imagescope_agent.mllms.transformers_chat import TransformersChat

SHORT, LONG = 30, 90  # tokens of a question about a picture
BOUND = 1.2  # of a fair share


class Counting(Backend):
    """A model that only counts: a question reads as many tokens as it has letters, a reply writes one a step.

    It takes no time, so after each batch it waits until all searches that have not ended have asked again.
    """

    score_slots = 64

    def __init__(self) -> None:
        self.now, self.searches, self.replies = 0.0, 0, dict[int, tuple[Job, int]]()
        self.grammars: Any = None
        self.queue: Any = None
        self.most = 0

    @property
    def free_slots(self) -> int:
        return 16 - len(self.replies)

    @property
    def running(self) -> list[Job]:
        return [job for job, _ in self.replies.values()]

    def score(self, jobs: list[Job]) -> None:
        self.most = max(self.most, len(jobs) + self.queue_length())
        self.now += sum(len(str(job.messages[0].content)) for job in jobs)
        for job in jobs:
            read = len(str(job.messages[0].content))
            job.future.set_result(ScoreOutput(probabilities=[0.5, 0.5], prompt_tokens=read, image_prefills=0))
        self.wait()

    def admit(self, jobs: list[Job]) -> list[Job]:
        self.replies |= {id(job): (job, job.max_tokens) for job in jobs}
        self.wait()
        return []

    def step(self) -> list[Job]:
        self.now += len(self.replies)
        self.replies = {key: (job, left - 1) for key, (job, left) in self.replies.items()}
        for key in [key for key, (_, left) in self.replies.items() if not left]:
            job, _ = self.replies.pop(key)
            job.future.set_result(
                GenerateOutput(
                    text="", finish_reason="stop", prompt_tokens=1, completion_tokens=1, image_prefills=0
                )
            )
        self.wait()
        return []

    def wait(self) -> None:
        while len({job.caller for job in self.running}.union(*self.queue.callers())) < self.searches:
            time.sleep(0.0005)

    def queue_length(self) -> int:
        return sum(map(len, self.queue._to_score.values()))

    def stats(self) -> EngineStats:
        return EngineStats(forwards=0, tokens=int(self.now), image_prefills=0)

    def count_tokens(self, conversation: Any) -> int:
        return 1


Search = tuple[int, int, int]  # tokens of two replies, and questions, and tokens of each


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[Counting, TransformersChat]:
    backend = Counting()
    monkeypatch.setattr(engine_module, "open_backend", lambda checkpoint, config: backend)
    monkeypatch.setattr(
        engine_module, "time", SimpleNamespace(perf_counter=lambda: backend.now, sleep=time.sleep)
    )
    checkpoint: Any = SimpleNamespace(tokenizer=lambda text, **options: {"input_ids": [ord(text[0])]})
    chat = TransformersChat(checkpoint="none")
    chat._engine = Engine(checkpoint, EngineConfig())
    backend.queue = chat._engine._queue
    return backend, chat


async def search(backend: Counting, chat: TransformersChat, one: Search) -> None:
    """Two replies one after the other, then all questions at once, as `imagescope` asks."""
    reply, questions, tokens = one
    with one_caller():
        for _ in range(2):
            await chat.ainvoke("x", max_tokens=reply)
        texts = [Request(text="x" * tokens).messages() for _ in range(questions)]
        await chat.ascore(texts, ("Yes", "No"))
    # once the tokens until here were read
    asyncio.get_running_loop().call_soon(lambda: setattr(backend, "searches", backend.searches - 1))


def burst(
    backend: Counting, chat: TransformersChat, searches: Sequence[Search]
) -> tuple[Served, list[float]]:
    meter: Callable[[], float] = lambda: backend.now  # noqa: E731
    works = []
    for one in searches:
        before, backend.searches = backend.now, 1
        asyncio.run(search(backend, chat, one))
        works.append(backend.now - before)
    backend.searches = len(searches)
    served = asyncio.run(
        serve(searches, [0.0] * len(searches), lambda one: search(backend, chat, one), meter)
    )
    return served, works


@pytest.mark.parametrize("seed", range(3))
def test_64_at_once_end_within_their_fair_share_and_a_fifth(
    counted: tuple[Counting, TransformersChat], seed: int
) -> None:
    rng = Random(seed)
    searches = [(rng.randint(30, 60), rng.randint(40, 80), rng.randint(SHORT, LONG)) for _ in range(64)]
    served, works = burst(*counted, searches)
    assert max(token_slowdowns(served, works)) <= BOUND


def test_a_search_with_much_to_ask_does_not_hold_up_the_others(
    counted: tuple[Counting, TransformersChat],
) -> None:
    searches = [(40, 2000, LONG), *[(40, 60, SHORT)] * 20]
    served, works = burst(*counted, searches)
    assert max(token_slowdowns(served, works)) <= BOUND


def test_a_caller_has_a_bounded_number_of_questions_in_the_engine(
    counted: tuple[Counting, TransformersChat], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagescope_agent.mllms.transformers_chat.MOST_WAITING", 100)
    backend, chat = counted
    backend.searches = 1
    asyncio.run(search(backend, chat, (5, 950, SHORT)))
    each = len(str(Request(text="x" * SHORT).messages()[0].content))
    assert backend.most == 100 and backend.now == 2 * 5 + 950 * each


def test_a_failure_is_told_before_further_questions_are_asked(
    counted: tuple[Counting, TransformersChat], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagescope_agent.mllms.transformers_chat.MOST_WAITING", 100)
    backend, chat = counted
    asked: list[int] = []

    def broken(jobs: list[Job]) -> None:
        asked.append(len(jobs))
        raise RuntimeError("out of order")

    monkeypatch.setattr(backend, "score", broken)
    with pytest.raises(RuntimeError, match="out of order"):
        asyncio.run(search(backend, chat, (1, 950, SHORT)))
    assert sum(asked) == 100
