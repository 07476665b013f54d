"""Model access of one judgement: budget, usage, notes; candidates are numbers in first-stage order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from imagescope_agent.errors import BudgetSpent, RequestRefused, UnreadableReply
from imagescope_agent.judges.base import (
    Candidate,
    Judgement,
    Task,
    fitting,
    said_after,
    too_many,
    without_blank,
)
from imagescope_agent.mllms.protocols import Attention, Embedding
from imagescope_agent.mllms.role import ImageRef, Reply, Request
from imagescope_agent.records import NoteDict, NoteKind, at_step, note

STEP = "judge"
_Value = TypeVar("_Value")


class JudgeSession:
    """Sends a judge's requests within the task's budget, and collects usage and notes.

    Items are numbers 0..n-1 in first-stage order, so that the smaller of two numbers wins a tie. Requests that
    exceed the budget are answered by None, with one note for all of them.
    """

    def __init__(self, task: Task, candidates: Sequence[Candidate]) -> None:
        self.task, self.candidates = task, list(candidates)
        self.items = range(len(self.candidates))
        self.notes: list[NoteDict] = []
        self.usage: list[Mapping[str, Any]] = []
        self.reasons: dict[str, list[str]] = {}
        self.compared = self.ties = 0
        self._reserved = self._unasked = 0
        self._without_blank = False  # blank reference images are left out
        self._all_refused = False  # every request was refused; no more are sent
        self._refused: list[tuple[Request, str]] = []  # refused requests, and why
        self._tokens_spent = False  # a request exceeded the tokens that are left; no more are sent

    @property
    def left(self) -> int | None:
        """How many more calls are allowed; None without a limit."""
        if self._tokens_spent:
            return 0
        return None if self.task.budget is None else max(0, self.task.budget - self._reserved)

    def pictures(self, items: Sequence[int]) -> tuple[ImageRef, ...]:
        """The reference images (a blank one for a text query), then the items in order."""
        return (*self.task.references, *(self.candidates[item].image for item in items))

    def request(self, step: str, items: Sequence[int], under: Sequence[str] = (), **values: str) -> Request:
        """The request of a step about some items, with their labels in `under`, if any."""
        text, each = self.task.words(step, **values)
        after = [each + said_after(self.candidates[item].text) for item in items]
        request = Request(
            text=text,
            images=self.pictures(items),
            labels=self.task.labels(under or ("",) * len(items)),
            after=(*("",) * len(self.task.references), *after) if any(after) else (),
        )
        bare = without_blank(request) if self._without_blank else None
        return bare or fitting(self.task.model, request)

    def numbered(self, step: str, items: Sequence[int]) -> Request:
        """The request of a step about some items, labelled with the numbers from 1."""
        numbers = [str(place + 1) for place in range(len(items))]
        return self.request(step, items, numbers, count=str(len(items)))

    def reserve(self, units: int, cost: int = 1) -> int:
        """Reserve the calls for up to `units` questions of `cost` calls each; how many the budget allows.

        The rest is counted for a note.
        """
        allowed = units if self.left is None else min(units, self.left // cost)
        self._reserved += allowed * cost
        self._unasked += units - allowed
        return allowed

    async def affords(self, request: Request, calls: int) -> bool:
        """Whether so many single-token replies to requests like this one are within the budget of calls and tokens."""
        if self.left is not None and self.left < calls:
            return False
        return await self.task.model.affords(request, calls)

    def _count_unasked(self, units: int) -> None:
        """Count the questions that exceeded the budget of tokens."""
        self._unasked += units
        self._tokens_spent = self._tokens_spent or units > 0

    async def choose(
        self, requests: Sequence[Request], choices: Sequence[str], *, cost: int = 1
    ) -> list[list[float] | None]:
        """Probabilities of the choices for each request; None where not asked, refused or exactly even.

        Args:
            requests: what to ask, all at once.
            choices: the answers offered.
            cost: how many consecutive requests belong together (both orders of a pair: 2).

        Raises:
            BackendUnavailable: the model does not answer.
        """
        allowed = self.reserve(len(requests) // cost, cost) * cost
        if not allowed:
            return [None] * len(requests)

        async def send(asked: Sequence[Request]) -> list[tuple[list[float], str]]:
            groups = [cost] * (len(asked) // cost)
            choice = await self.task.model.choose_some(asked, choices, groups)
            self.usage.append(choice.usage)
            self.notes += at_step(STEP, choice.notes)
            return [(row, choice.refused.get(place, "")) for place, row in enumerate(choice.probabilities)]

        found = await self._send(requests[:allowed], send)
        rows = [None if row is None or max(row) - min(row) < 1e-9 else row for row in found]
        self._count_unasked((allowed - len(rows)) // cost)
        return [*rows, *[None] * (len(requests) - len(rows))]

    async def ask(
        self,
        requests: Sequence[Request],
        parse: Callable[[str], _Value],
        *,
        schema: type[BaseModel] | None = None,
    ) -> list[_Value | None]:
        """The parsed replies; None, with a note, where a reply cannot be read or is refused, and where not asked.

        Raises:
            BackendUnavailable: the model does not answer.
        """
        allowed = self.reserve(len(requests))
        if not allowed:
            return [None] * len(requests)

        async def send(asked: Sequence[Request]) -> list[tuple[Reply, str]]:
            replies = await self.task.model.ask_some(asked, [1] * len(asked), schema=schema)
            for reply in replies:
                self.usage.append(reply.usage)
                self.notes += at_step(STEP, reply.notes)
            refused = [isinstance(reply.problem, RequestRefused) for reply in replies]
            return [
                (reply, str(reply.problem) if no else "") for reply, no in zip(replies, refused, strict=True)
            ]

        found = await self._send(requests[:allowed], send)
        values = [None if reply is None else self._parsed(reply, parse) for reply in found]
        self._count_unasked(allowed - len(values))
        return [*values, *[None] * (len(requests) - len(values))]

    def _parsed(self, reply: Reply, parse: Callable[[str], _Value]) -> _Value | None:
        problem: Exception | None = reply.problem
        if problem is None:
            try:
                return parse(reply.text)
            except UnreadableReply as error:
                problem = reply.unusable(error.problem)
        self.notes.append(note(STEP, "unreadable", f"{problem}; says nothing about the order"))
        return None

    async def _send(
        self,
        requests: Sequence[Request],
        send: Callable[[Sequence[Request]], Awaitable[list[tuple[_Value, str]]]],
    ) -> list[_Value | None]:
        """Send the requests; the answers to the first of them, as many as the budget allows, None where refused.

        Where all are refused and have a blank reference image, they are sent once more without it: many models take
        only one image. Where all are refused again, this session sends no more.
        """
        if self._all_refused:
            return [None] * len(requests)
        model = self.task.model
        if why := next(filter(None, (too_many(model, each) for each in requests)), ""):
            found: list[tuple[_Value | None, str]] = [(None, why)] * len(requests)
        else:
            found = [*await send(requests)]
            bare = [each for each in map(without_blank, requests[: len(found)]) if each is not None]
            if found and all(why for _, why in found) and len(bare) == len(found):
                again = await send(bare)
                if not all(why for _, why in again):
                    self._without_blank, found = True, [*again]
                    self.add_note("fallback", "the model takes no blank picture in the place of a reference")
        refused = [(each, why) for each, (_, why) in zip(requests, found, strict=False) if why]
        self._refused += refused
        self._all_refused = bool(found) and len(refused) == len(found) == len(self._refused)
        return [None if why else value for value, why in found]

    async def attend(self, requests: Sequence[Request]) -> list[Attention] | None:
        """The model's attention in each request; None where the budget does not allow all of them."""
        found = await self._send_whole(requests, self.task.model.attend)
        self.usage += [each.usage for each in found or ()]
        return found

    async def embed(self, requests: Sequence[Request]) -> Embedding | None:
        """Embeddings of the requests; None where the budget does not allow all of them."""
        found = await self._send_whole(requests, self.task.model.embed)
        if found is not None:
            self.usage.append(found.usage)
        return found

    async def _send_whole(
        self, requests: Sequence[Request], send: Callable[[Sequence[Request]], Awaitable[_Value]]
    ) -> _Value | None:
        """Send requests that are of use only together; None, with a note, where not asked, refused or unreadable."""
        if not self.reserve(1, cost=len(requests)):
            return None
        try:
            return await send(requests)
        except BudgetSpent:
            self._count_unasked(1)
        except (RequestRefused, UnreadableReply) as error:
            refused = isinstance(error, RequestRefused)
            self.add_note("refused" if refused else "unreadable", f"{error}; the order stays")
            if isinstance(error, UnreadableReply) and error.usage:
                self.usage.append(error.usage)
        return None

    def add_note(self, kind: NoteKind, detail: str) -> None:
        """Add a note."""
        self.notes.append(note(STEP, kind, detail))

    def judgement(self, order: Sequence[int], scores: Mapping[int, float] | None = None) -> Judgement:
        """The judgement with this order, and with all notes and usage of the session."""
        if self.ties:
            self.add_note("tie", f"{self.ties} of {self.compared} comparisons decided nothing")
        if self._unasked:
            self.add_note("budget", f"{self._unasked} questions were not asked")
        if self._refused:
            self.add_note("refused", self._refusals())
        names = [candidate.id for candidate in self.candidates]
        return Judgement(
            order=[names[item] for item in order],
            scores={names[item]: score for item, score in (scores or {}).items()},
            reasons=self.reasons,
            notes=self.notes,
            usage=self.usage,
        )

    def _refusals(self) -> str:
        """How many questions the model refused, about which candidates where they are about one, and why."""
        by_key = {candidate.image.key: candidate.id for candidate in self.candidates}
        about = [
            [by_key[image.key] for image in each.images if image.key in by_key] for each, _ in self._refused
        ]
        single = list(dict.fromkeys(names[0] for names in about if len(names) == 1))
        which = (
            f" (about {', '.join(map(repr, single[:3]))}{', ...' if len(single) > 3 else ''})"
            if single
            else ""
        )
        return (
            f"{len(self._refused)} questions{which} were refused and say nothing about the order: "
            f"{self._refused[0][1]}"
        )
