"""One judging: what may still be asked, what it cost, what went wrong; candidates are numbers in first-stage order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from imagescope_agent.errors import BudgetSpent, RequestRefused, UnreadableReply
from imagescope_agent.judges.base import (
    Candidate,
    Judgement,
    Task,
    blank_image,
    fitting,
    too_many,
    without_blank,
)
from imagescope_agent.judges.order_control import labelled
from imagescope_agent.ledger import at_step, note
from imagescope_agent.mllms.protocols import Attention, Embedding
from imagescope_agent.mllms.role import ImageRef, Reply, Request
from imagescope_agent.state import Note

STEP = "judge"
_Value = TypeVar("_Value")


class Session:
    """Asks the task's model within the task's budget and keeps the account.

    Items are numbers 0..n-1 in first-stage order, so that the smaller of two numbers wins a tie. What the
    budget leaves unasked is answered by None, with one note for all of it.
    """

    def __init__(self, task: Task, candidates: Sequence[Candidate]) -> None:
        self.task, self.candidates = task, list(candidates)
        self.items = range(len(self.candidates))
        self.notes: list[Note] = []
        self.usage: list[Mapping[str, Any]] = []
        self.reasons: dict[str, list[str]] = {}
        self.compared = self.ties = 0
        self._reserved = self._unasked = 0
        self._bare = self._mute = (
            False  # without a blank picture; every question was refused, so none is asked any more
        )
        self._declined: list[tuple[Request, str]] = []  # the refused questions, and why
        self._broke = False  # tokens were missing: what is left will not do for the next question either

    @property
    def left(self) -> int | None:
        """How many more calls may be made; None for no limit."""
        if self._broke:
            return 0
        return None if self.task.budget is None else max(0, self.task.budget - self._reserved)

    def pictures(self, items: Sequence[int]) -> tuple[ImageRef, ...]:
        """The reference (a blank picture when there is none), then the items in order."""
        return (self.task.reference or blank_image(), *(self.candidates[item].image for item in items))

    def request(self, step: str, items: Sequence[int], under: Sequence[str] = (), **values: str) -> Request:
        """A step's question about some items; each picture `under` its own label, if any."""
        text, each = self.task.words(step, **values)
        made = Request(
            text=text,
            images=self.pictures(items),
            labels=labelled(under) if under else (),
            after=("", *[each] * len(items)) if each else (),
        )
        bare = without_blank(made) if self._bare else None
        return bare or fitting(self.task.model, made)

    def numbered(self, step: str, items: Sequence[int]) -> Request:
        """A step's question about all of some items, shown under the numbers from 1."""
        numbers = [str(place + 1) for place in range(len(items))]
        return self.request(step, items, numbers, count=str(len(items)))

    def reserve(self, units: int, cost: int = 1) -> int:
        """How many of `units` questions of `cost` calls each the budget allows; these count as spent.

        The rest leave a note, so that no caller can forget to say so.
        """
        allowed = units if self.left is None else min(units, self.left // cost)
        self._reserved += allowed * cost
        self._unasked += units - allowed
        return allowed

    async def affords(self, request: Request, calls: int) -> bool:
        """Whether so many verdicts on requests like this one are within the budget, in calls and in tokens."""
        if self.left is not None and self.left < calls:
            return False
        return await self.task.model.affords(request, calls)

    def _unpaid(self, units: int) -> None:
        """Take down how many questions there were not tokens enough for."""
        self._unasked += units
        self._broke = self._broke or units > 0

    async def choose(
        self, requests: Sequence[Request], choices: Sequence[str], *, cost: int = 1
    ) -> list[list[float] | None]:
        """Probabilities of the choices for each request; None where not asked, refused or exactly even.

        Args:
            requests: what to ask, all at once.
            choices: the answers offered.
            cost: how many consecutive requests stand and fall together (both orders of a pair: 2).

        Raises:
            BackendUnavailable: the model does not answer.
        """
        allowed = self.reserve(len(requests) // cost, cost) * cost
        if not allowed:
            return [None] * len(requests)

        async def put(asked: Sequence[Request]) -> list[tuple[list[float], str]]:
            groups = [cost] * (len(asked) // cost)
            choice = await self.task.model.choose_some(asked, choices, groups)
            self.usage.append(choice.usage)
            self.notes += at_step(STEP, choice.notes)
            return [(row, choice.refused.get(place, "")) for place, row in enumerate(choice.probabilities)]

        found = await self._put(requests[:allowed], put)
        rows = [None if row is None or max(row) - min(row) < 1e-9 else row for row in found]
        self._unpaid((allowed - len(rows)) // cost)
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

        async def put(asked: Sequence[Request]) -> list[tuple[Reply, str]]:
            replies = await self.task.model.ask_some(asked, [1] * len(asked), schema=schema)
            for reply in replies:
                self.usage.append(reply.usage)
                self.notes += at_step(STEP, reply.notes)
            refused = [isinstance(reply.problem, RequestRefused) for reply in replies]
            return [
                (reply, str(reply.problem) if no else "") for reply, no in zip(replies, refused, strict=True)
            ]

        found = await self._put(requests[:allowed], put)
        values = [None if reply is None else self._parsed(reply, parse) for reply in found]
        self._unpaid(allowed - len(values))
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

    async def _put(
        self,
        requests: Sequence[Request],
        put: Callable[[Sequence[Request]], Awaitable[list[tuple[_Value, str]]]],
    ) -> list[_Value | None]:
        """What is answered to the first requests, as many as are paid for; None where it is refused.

        Where all are refused and a blank picture is in them, they are put once more without it: many models take one
        picture only. Where all still are, nothing more is asked in this judging.
        """
        if self._mute:
            return [None] * len(requests)
        model = self.task.model
        if why := next(filter(None, (too_many(model, each) for each in requests)), ""):
            found: list[tuple[_Value | None, str]] = [(None, why)] * len(requests)
        else:
            found = [*await put(requests)]
            bare = [each for each in map(without_blank, requests[: len(found)]) if each is not None]
            if found and all(why for _, why in found) and len(bare) == len(found):
                again = await put(bare)
                if not all(why for _, why in again):
                    self._bare, found = True, [*again]
                    self.remark("fallback", "the model takes no blank picture in the place of a reference")
        declined = [(each, why) for each, (_, why) in zip(requests, found, strict=False) if why]
        self._declined += declined
        self._mute = bool(found) and len(declined) == len(found) == len(self._declined)
        return [None if why else value for value, why in found]

    async def attend(self, requests: Sequence[Request]) -> list[Attention] | None:
        """Where the model's attention goes in each request; None where the budget forbids one of them."""
        if not self.reserve(1, cost=len(requests)):
            return None
        try:
            found = await self.task.model.attend(requests)
        except BudgetSpent:
            self._unpaid(1)
            return None
        except (RequestRefused, UnreadableReply) as error:
            self._lost(error)
            return None
        self.usage += [each.usage for each in found]
        return found

    async def embed(self, requests: Sequence[Request]) -> Embedding | None:
        """The requests as vectors; None where the budget forbids one of them."""
        if not self.reserve(1, cost=len(requests)):
            return None
        try:
            found = await self.task.model.embed(requests)
        except BudgetSpent:
            self._unpaid(1)
            return None
        except (RequestRefused, UnreadableReply) as error:
            self._lost(error)
            return None
        self.usage.append(found.usage)
        return found

    def _lost(self, error: RequestRefused | UnreadableReply) -> None:
        refused = isinstance(error, RequestRefused)
        self.remark("refused" if refused else "unreadable", f"{error}; the order stays")
        if isinstance(error, UnreadableReply) and error.usage:
            self.usage.append(error.usage)

    def remark(self, kind: str, detail: str) -> None:
        """Leave a note."""
        self.notes.append(note(STEP, kind, detail))

    def judgement(self, order: Sequence[int], scores: Mapping[int, float] | None = None) -> Judgement:
        """The order as the judge's answer, with everything noted on the way."""
        if self.ties:
            self.remark("tie", f"{self.ties} of {self.compared} comparisons decided nothing")
        if self._unasked:
            self.remark("budget", f"{self._unasked} questions were not asked")
        if self._declined:
            self.remark("refused", self._refusals())
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
            [by_key[image.key] for image in each.images if image.key in by_key] for each, _ in self._declined
        ]
        single = list(dict.fromkeys(names[0] for names in about if len(names) == 1))
        which = (
            f" (about {', '.join(map(repr, single[:3]))}{', ...' if len(single) > 3 else ''})"
            if single
            else ""
        )
        return (
            f"{len(self._declined)} questions{which} were refused and say nothing about the order: "
            f"{self._declined[0][1]}"
        )
