"""What waits for a model: requests of many tasks, taken in turns between callers."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage

from imagescope_agent.errors import RequestRefused
from imagescope_agent.mllms.protocols import Choice


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Probabilities of the labels, in their order, and what the request cost."""

    probabilities: list[float]
    prompt_tokens: int
    image_prefills: int
    notes: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Written:
    """A reply, why it ended ("stop" or "length"), and what it cost."""

    text: str
    finish: str
    prompt_tokens: int
    completion_tokens: int
    image_prefills: int
    notes: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What a model has done since it was opened; tokens include padding."""

    forwards: int
    tokens: int
    image_prefills: int


@dataclass(kw_only=True, eq=False)
class Job:
    """One request on its way through the worker.

    Attributes:
        messages: the conversation.
        caller: whose it is; callers take turns.
        labels: token ids to score; None when a reply is to be written.
        max_tokens: longest reply.
        schema: JSON schema the reply must follow.
        stop: texts that end the reply and are not part of it.
        on_text: called in the worker thread with each piece of the reply.
        sent: characters handed to `on_text` so far.
        notes: what was degraded on the way.
        future: of Scored or Written.
    """

    messages: Sequence[BaseMessage]
    caller: object
    labels: tuple[int, ...] | None = None
    max_tokens: int = 512
    schema: str | None = None
    stop: tuple[str, ...] = ()
    on_text: Callable[[str], None] | None = None
    sent: int = 0
    notes: tuple[dict[str, str], ...] = ()
    future: Future[Any] = field(default_factory=Future)


@dataclass(kw_only=True, eq=False)
class Errand:
    """Something else to do with some conversations, alone in the worker.

    Attributes:
        conversations: messages of each.
        action: given how jobs are served (a Desk) and the conversations as they were read.
        future: of what the action returns.
    """

    conversations: Sequence[Sequence[BaseMessage]]
    action: Callable[[Any, Any], Any]
    future: Future[Any] = field(default_factory=Future)


def choice_of(answers: Sequence[Scored | BaseException], choices: int, seconds: float) -> Choice:
    """What a batch of scored requests says; a refused one has an even row.

    Args:
        answers: what each request's future gave.
        choices: how many labels were scored.
        seconds: that the batch took.

    Raises:
        BaseException: a failure that is no refusal; or the first refusal, when nothing but refusals came.
    """
    scored = {row: answer for row, answer in enumerate(answers) if isinstance(answer, Scored)}
    failed = {row: answer for row, answer in enumerate(answers) if isinstance(answer, BaseException)}
    for error in sorted(failed.values(), key=lambda error: isinstance(error, RequestRefused)):
        if not (scored and isinstance(error, RequestRefused)):
            raise error
    even = [1 / choices] * choices
    usage = {
        "calls": len(scored),
        "prompt_tokens": sum(each.prompt_tokens for each in scored.values()),
        "completion_tokens": 0,
        "image_prefills": sum(each.image_prefills for each in scored.values()),
        "seconds": seconds,
    }
    notes = {tuple(note.items()): note for each in scored.values() for note in each.notes}
    return Choice(
        probabilities=[scored[row].probabilities if row in scored else even for row in range(len(answers))],
        usage=usage,
        notes=list(notes.values()),
        refused={row: str(error) for row, error in failed.items()},
    )


class Inbox:
    """Jobs that wait, by caller, and errands; safe between threads."""

    def __init__(self) -> None:
        self.ready = threading.Condition()
        self._errands: deque[Errand] = deque()
        self._scores: OrderedDict[object, deque[Job]] = OrderedDict()
        self._writes: OrderedDict[object, deque[Job]] = OrderedDict()

    def put(self, jobs: Iterable[Job]) -> None:
        """Add jobs, all before the worker sees any."""
        with self.ready:
            for job in jobs:
                lane = self._writes if job.labels is None else self._scores
                lane.setdefault(job.caller, deque()).append(job)
            self.ready.notify()

    def send(self, errand: Errand) -> None:
        """Add an errand."""
        with self.ready:
            self._errands.append(errand)
            self.ready.notify()

    def __bool__(self) -> bool:
        return bool(self._scores or self._writes or self._errands)

    def errands(self) -> list[Errand]:
        """All errands that wait and are still wanted."""
        with self.ready:
            waiting, self._errands = self._errands, deque()
        return [errand for errand in waiting if errand.future.set_running_or_notify_cancel()]

    def scores(self, most: int) -> list[Job]:
        """Up to `most` jobs that ask for probabilities."""
        with self.ready:
            return _take(self._scores, most)

    def writes(self, most: int) -> list[Job]:
        """Up to `most` jobs that ask for a reply."""
        with self.ready:
            return _take(self._writes, most)


def _take(lane: OrderedDict[object, deque[Job]], most: int) -> list[Job]:
    taken: list[Job] = []
    while lane and len(taken) < most:
        caller, waiting = lane.popitem(last=False)
        job = waiting.popleft()
        if waiting:
            lane[caller] = waiting  # behind the other callers
        if job.future.running() or job.future.set_running_or_notify_cancel():
            taken.append(job)
    return taken
