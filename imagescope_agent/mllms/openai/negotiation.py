"""Finding out what a server takes, with small requests of the shape that was refused, and remembering it.

A refused request is told apart by asking the same with other content: small pictures, "Say Yes.". If that is taken,
the content was refused, and it alone; if not, the request is softened part by part until it is taken. What some
request of a shape was answered under is never doubted again.
"""

from __future__ import annotations

import asyncio
import base64
import io
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from PIL import Image

from imagescope_agent.errors import RequestRefused, ServerFails, UnreadableReply, shorten
from imagescope_agent.mllms.liveness import SMALL_TALK
from imagescope_agent.mllms.openai.dialect import Dialect, Question
from imagescope_agent.mllms.openai.failures import Denied
from imagescope_agent.mllms.protocols import UnusableLabels

_SHORT = 16  # tokens of a reply to small talk, for models that go on and on
_TWICE = 2  # attempts of a request that only finds something out
_ROUNDS = 4  # times that one request is sent again under what was learnt

#: What may be said of one request, not of the server.
_REFUSALS = (RequestRefused, ServerFails, Denied)


_PLAINEST = Dialect(limit="", temperature=False)


class Sender(Protocol):
    """Sends a request (`connection.Server.ask`)."""

    async def __call__(self, body: Mapping[str, Any], *, attempts: int | None = None) -> dict[str, Any]:
        """The server's answer."""
        ...


class Negotiator:
    """Asks one model of a server in the dialect that it takes.

    Args:
        ask: sends a request (`connection.Server.ask`).
        model: the model's name.
        wanted: the dialect to begin with.
    """

    def __init__(self, ask: Sender, model: str, wanted: Dialect) -> None:
        self._ask, self._model, self.wanted = ask, model, wanted
        self.dialect = wanted
        self.pictures: int | None = None  # the most that a request may hold; None while no limit was met
        self._unseen = ""  # what the server says against pictures
        self._proven: set[str] = set()
        self._seen = 0  # the most pictures that an answered request held
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = (
            WeakKeyDictionary()
        )

    async def asked(self, question: Question, *, elsewhere: bool = False) -> tuple[dict[str, Any], list[str]]:
        """The server's answer, and what the question had to do without.

        Args:
            question: what is asked.
            elsewhere: whether another server may be asked: HTTP 5xx and a denial are then not looked into.

        Raises:
            RequestRefused: the server refuses this one, however it is asked.
            UnusableLabels: probabilities are wanted, and the server refuses them.
            UnreadableReply, BackendUnavailable: as `connection.Server.ask`.
        """
        refusal: Exception = RequestRefused("never asked")
        for _ in range(_ROUNDS):
            dialect = self.dialect
            self._check(question)
            try:
                answer = await self._ask(dialect.body(self._model, question))
            except _REFUSALS as error:
                refusal = error
                if elsewhere and not isinstance(error, RequestRefused):
                    raise
                async with self.lock("dialect"):
                    if self.dialect == dialect and not await self._learnt(question, error):
                        raise _own(error) from error
            else:
                self._proven.add(dialect.shape(question))
                self._seen = max(self._seen, question.pictures)
                return answer, dialect.remarks(question, self.wanted)
        raise refusal

    async def takes(self, pictures: int) -> bool:
        """Whether a request may hold so many pictures, found out by one with small ones.

        Raises:
            BackendUnavailable: the server does not answer at all.
        """
        try:
            await self.asked(_small_talk(greeting(), pictures))
        except UnreadableReply:
            return True
        except (RequestRefused, ServerFails):
            return False
        return True

    def lock(self, matter: str) -> asyncio.Lock:
        """Held while the matter is found out: others wait for what comes of it."""
        return self._locks.setdefault(asyncio.get_running_loop(), {}).setdefault(matter, asyncio.Lock())

    def _check(self, question: Question) -> None:
        if question.weigh and not self.dialect.top_logprobs:
            raise UnusableLabels("the server refuses logprobs")
        if self.pictures is not None and question.pictures > self.pictures:
            most = "one picture" if self.pictures == 1 else f"{self.pictures} pictures"
            raise RequestRefused(
                f"the server takes {most} a request, not {question.pictures}"
                if self.pictures
                else f"the server does not see pictures{self._unseen}; name a model that does for this role"
            )

    async def _learnt(self, question: Question, error: Exception) -> bool:
        """Whether anything was learnt under which the question may be asked again."""
        dialect = self.dialect
        if self.pictures is not None and question.pictures > self.pictures:
            return True
        if not isinstance(error, RequestRefused) and not await self.greets():
            raise error  # it refuses everybody
        if dialect.shape(question) in self._proven:
            return False
        alike = _small_talk(replace(question, limit=min(question.limit, _SHORT)), question.pictures)
        refusal = await self._refusal(dialect, alike)
        if refusal is None and question.limit > _SHORT:
            alike = replace(alike, limit=question.limit)
            refusal = await self._refusal(dialect, alike)
        if refusal is None:
            self._proven.add(dialect.shape(question))
            return False
        words = _small_talk(alike, 0)
        if question.pictures > self._seen and await self._refusal(dialect, words) is None:
            unseen = replace(_unseen(question), limit=_SHORT)
            if isinstance(error, ServerFails) and await self._refusal(dialect, unseen) is not None:
                return False  # it fails without the pictures, too
            self.pictures = await self._most(alike, dialect)
            self._unseen = f" ({shorten(_sentence(str(error)), 160)})"
            return True
        for probe in (words, alike) if question.pictures else (words,):
            if (softened := await self._softened(probe, refusal)) is not None:
                self.dialect = softened
                return True
        return False

    async def greets(self) -> bool:
        """Whether the smallest question is answered, if need be without any option."""
        if await self._refusal(self.dialect, greeting()) is None:
            return True
        return await self._refusal(_PLAINEST, greeting()) is None

    async def _most(self, question: Question, dialect: Dialect) -> int:
        """How many pictures are taken, fewer than the question holds."""
        least, refused = self._seen, question.pictures
        while refused - least > 1:
            middle = 1 if not least else (least + refused) // 2
            if await self._refusal(dialect, _small_talk(question, middle)) is None:
                least = middle
            elif middle == 1:
                return 0
            else:
                refused = middle
        return least

    async def _softened(self, question: Question, refusal: Exception) -> Dialect | None:
        """The firmest dialect in which the question is taken; None if there is none."""
        found, last = self.dialect, ""
        told: Exception | None = refusal
        while told is not None:
            softer = found.softer(question, str(told))
            if softer is None:
                return None
            found, last = softer[1], softer[0]
            told = await self._refusal(found, question)
        taken: set[str] = {last}  # one level more of this was refused just before
        for axis, firmer in found.firmer(self.dialect):
            if axis not in taken:
                firmer = replace(found, **{axis: getattr(firmer, axis)})
                if await self._refusal(firmer, question) is None:
                    found = firmer
                    taken.add(axis)
        return found

    async def _refusal(self, dialect: Dialect, question: Question) -> Exception | None:
        """What the server has against the question; None when it takes it, whatever it answers."""
        try:
            await self._ask(dialect.body(self._model, question), attempts=_TWICE)
        except UnreadableReply:
            return None
        except _REFUSALS as error:
            return error
        return None


def _sentence(refusal: str) -> str:
    """What the server said, out of the message that is made of it."""
    return re.sub(
        r"^the server \S+ (?:refuses the request|does not answer) \(|; (?:mend|see) .*$", "", refusal
    )


def _own(error: Exception) -> Exception:
    """What is wrong with one request while others are answered."""
    return RequestRefused(str(error)) if isinstance(error, Denied) else error


def greeting(*, limit: int = 1, **wanted: Any) -> Question:
    """The smallest question, with what else is wanted of `dialect.Question`."""
    return Question(messages=[{"role": "user", "content": SMALL_TALK}], limit=limit, **wanted)


def _small_talk(question: Question, pictures: int) -> Question:
    """The question with other content: so many small pictures, and few words."""
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": _picture(number)}} for number in range(pictures)
    ]
    content = [*parts, {"type": "text", "text": SMALL_TALK}] if parts else SMALL_TALK
    return replace(question, messages=[{"role": "user", "content": content}], pictures=pictures)


def _unseen(question: Question) -> Question:
    """The question in its own words, without its pictures."""
    messages = [
        {**each, "content": "\n".join(part["text"] for part in each["content"] if part["type"] == "text")}
        if isinstance(each["content"], list)
        else each
        for each in question.messages
    ]
    return replace(question, messages=messages, pictures=0)


@cache
def _picture(number: int) -> str:
    """A small picture as a data URL; each number has a colour of its own."""
    buffer = io.BytesIO()
    colour = (40 + 53 * number % 200, 40 + 97 * number % 200, 200 - 31 * number % 150)
    Image.new("RGB", (64, 64), colour).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
