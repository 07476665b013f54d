"""Request queue of the engine: jobs of many callers, taken in turns, and control tasks."""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage

from imagescope_agent.mllms.engine.conversation import EMPTY, Conversation
from imagescope_agent.mllms.engine.fair_shares import CallerShares

MOST_WAITING = 512  # questions that a caller has in the engine at once; further ones wait for their answers


@dataclass(frozen=True, kw_only=True)
class ScoreOutput:
    """Probabilities of a job's labels, in their order, and their cost."""

    probabilities: list[float]
    prompt_tokens: int
    image_prefills: int
    notes: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class GenerateOutput:
    """A reply, its finish reason ("stop" or "length"), and its cost."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    image_prefills: int
    notes: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class EngineStats:
    """Work of an engine since it was opened: forwards, their tokens (padding included), encoded images.

    `cache_hits` counts the images that were in the encoder cache.
    """

    forwards: int
    tokens: int
    image_prefills: int
    cache_hits: int = 0


@dataclass(kw_only=True, eq=False)
class Job:
    """One request in the engine.

    Attributes:
        messages: the conversation.
        caller: callers take turns.
        labels: token ids to score; None to generate a reply.
        max_tokens: longest reply.
        schema: JSON schema the reply must follow.
        stop: texts that end the reply; they are not part of it.
        on_text: called on the engine thread with each new piece of the reply.
        streamed: characters passed to `on_text` so far.
        notes: fallbacks so far.
        conversation: the parsed messages; set by the engine thread.
        future: of a `ScoreOutput` or a `GenerateOutput`.
    """

    messages: Sequence[BaseMessage]
    caller: object
    labels: tuple[int, ...] | None = None
    max_tokens: int = 512
    schema: str | None = None
    stop: tuple[str, ...] = ()
    on_text: Callable[[str], None] | None = None
    streamed: int = 0
    notes: tuple[dict[str, str], ...] = ()
    conversation: Conversation = EMPTY
    future: Future[Any] = field(default_factory=Future)

    def cut(self, text: str) -> str | None:
        """The text before the first of its stop texts, None where there is none."""
        found = [index for stop in self.stop if (index := text.find(stop)) >= 0]
        return text[: min(found)] if found else None


@dataclass(kw_only=True, eq=False)
class ControlTask:
    """A task that runs exclusively on the engine thread, between batches.

    Attributes:
        conversations: messages of each.
        action: called with the `Backend` and the parsed conversations.
        future: of what the action returns.
    """

    conversations: Sequence[Sequence[BaseMessage]]
    action: Callable[[Any, Any], Any]
    future: Future[Any] = field(default_factory=Future)


class RequestQueue:
    """Waiting jobs by caller, and control tasks; thread-safe.

    Attributes:
        changed: condition that is notified when something is added.
        shares: what callers have had; used by the engine thread alone.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.shares = CallerShares()
        self._tasks: deque[ControlTask] = deque()
        self._to_score: OrderedDict[object, deque[Job]] = OrderedDict()
        self._to_generate: OrderedDict[object, deque[Job]] = OrderedDict()

    def put(self, jobs: Iterable[Job]) -> None:
        """Add jobs; the engine thread sees all of them at once."""
        with self.changed:
            for job in jobs:
                waiting = self._to_generate if job.labels is None else self._to_score
                waiting.setdefault(job.caller, deque()).append(job)
            self.changed.notify()

    def put_task(self, task: ControlTask) -> None:
        """Add a control task."""
        with self.changed:
            self._tasks.append(task)
            self.changed.notify()

    def __bool__(self) -> bool:
        return bool(self._to_score or self._to_generate or self._tasks)

    @property
    def to_score(self) -> bool:
        """Whether jobs wait that ask for label probabilities."""
        return bool(self._to_score)

    def callers(self) -> tuple[set[object], set[object]]:
        """The callers of jobs that wait to be scored, and of those that wait to be generated."""
        with self.changed:
            return set(self._to_score), set(self._to_generate)

    def take_tasks(self) -> list[ControlTask]:
        """All waiting control tasks that were not cancelled."""
        with self.changed:
            waiting, self._tasks = self._tasks, deque()
        return [task for task in waiting if task.future.set_running_or_notify_cancel()]

    def take_to_score(self, limit: int) -> list[Job]:
        """Up to `limit` jobs that ask for label probabilities, of the callers that have had least."""
        with self.changed:
            return _take(self._to_score, limit, self.shares)

    def take_to_generate(self, limit: int) -> list[Job]:
        """Up to `limit` jobs that ask for a reply, of the callers that have had least."""
        with self.changed:
            return _take(self._to_generate, limit, self.shares)


def _take(callers: OrderedDict[object, deque[Job]], limit: int, shares: CallerShares) -> list[Job]:
    """Jobs of the callers that have had least, in turn where they have had the same."""
    taken: list[Job] = []
    order = [(shares.seconds(caller), turn, caller) for turn, caller in enumerate(callers)]
    heapq.heapify(order)
    turn = len(order)
    while order and len(taken) < limit:
        had, _, caller = heapq.heappop(order)
        waiting = callers[caller]
        job = waiting.popleft()
        callers.move_to_end(caller)
        if waiting:
            turn += 1
            heapq.heappush(order, (had + shares.job_seconds(caller), turn, caller))
        else:
            del callers[caller]
        if job.future.running() or job.future.set_running_or_notify_cancel():
            taken.append(job)
    return taken
