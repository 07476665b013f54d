"""Asking a model that one server or several serve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from imagescope_agent.errors import BackendUnavailable, RequestRefused, UnreadableReply
from imagescope_agent.mllms.openai.dialect import Question
from imagescope_agent.mllms.openai.probing import Powers, name_of
from imagescope_agent.mllms.openai.replicas.pool import Pool
from imagescope_agent.mllms.openai.replicas.replica import Replica
from imagescope_agent.mllms.openai.replicas.trip import Trip
from imagescope_agent.mllms.protocols import UnusableLabels

_ANY = Powers(logprobs=True, schema=True, choices=True)  # of a server that was not asked yet
_FIRST_LOOK = 5.0  # seconds for which all are waited for that were not asked before, where one will do
_OPINIONS = 3  # servers that are asked one question in all while none of them weighs its answers


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What became of a question.

    Attributes:
        answer: that counts.
        remarks: what the question had to do without.
        retries: which servers failed before, or gave an answer of no use.
        wasted: answers that do not count and were paid for, too.
    """

    answer: dict[str, Any]
    remarks: list[str]
    retries: list[str] = field(default_factory=list)
    wasted: list[Mapping[str, Any]] = field(default_factory=list)


class Asking:
    """Asks servers for one model.

    Args:
        pool: the servers.
        model: its name.
    """

    def __init__(self, pool: Pool, model: str) -> None:
        self.pool, self.model = pool, model

    async def asked(
        self, question: Question, *, reads: Callable[[Mapping[str, Any]], bool] | None = None
    ) -> Answered:
        """The answer.

        Args:
            question: what is asked.
            reads: whether an answer holds the probabilities that were asked for; where it does not, and there is
                another server, that one is asked, and perhaps a third.

        Raises:
            RequestRefused, UnusableLabels, UnreadableReply, BackendUnavailable: as `Pool.reach`.
        """
        if len(self.pool.replicas) == 1:
            answer, remarks = await self.pool.replicas[0].asked(self.model, question)
            return Answered(answer=answer, remarks=remarks)
        trip = Trip(fits=lambda replica: replica.fits(self.model, question))
        found, replica = await self._sent(question, trip)
        if reads is None:
            return found
        if reads(found.answer):
            replica.weighed += 1
            return found
        return await self._opinions(question, reads, found, replica)

    async def _sent(self, question: Question, trip: Trip) -> tuple[Answered, Replica]:
        (answer, remarks), replica = await self.pool.reach(
            lambda each, elsewhere: each.asked(self.model, question, elsewhere=elsewhere),
            trip=trip,
            key=prefix_of(question),
            model=self.model,
        )
        return Answered(answer=answer, remarks=remarks, retries=trip.retries, wasted=trip.wasted), replica

    async def _opinions(
        self,
        question: Question,
        reads: Callable[[Mapping[str, Any]], bool],
        first: Answered,
        replica: Replica,
    ) -> Answered:
        """Another server's answer where it is of more use, of those first that gave such; all are paid for."""
        asked, doubted = [replica], [replica]
        wasted, retries = [*first.wasted], [*first.retries]
        replica.doubt()  # at once: others are under way
        try:
            while len(asked) < _OPINIONS and (trusted := self._others(question, asked)):
                trip = self.pool.one_round(without=set(self.pool.replicas) - set(trusted))
                found, other = await self._sent(question, trip)
                asked.append(other)
                retries += found.retries
                if reads(found.answer):
                    other.weighed += 1
                    doubted.clear()  # it is they, not the question
                    told = "weighed none of the answers, and another server was asked"
                    retries += [f"{each.url} {told}" for each in asked[:-1]]
                    wasted = [first.answer, *wasted, *found.wasted]
                    return replace(found, retries=retries, wasted=wasted)
                other.doubt()
                doubted.append(other)
                wasted += [found.answer, *found.wasted]
        except (BackendUnavailable, RequestRefused, UnusableLabels):
            wasted += trip.wasted  # the first answer stands
        except UnreadableReply as error:
            wasted.append({"usage": error.usage})
        finally:
            for each in doubted:
                each.unweighed -= 1
        return replace(first, wasted=wasted)

    def _others(self, question: Question, asked: list[Replica]) -> list[Replica]:
        """Whom to ask the same, of those that are there: who weighed answers before, else who may."""
        others = [each for each in self.pool.replicas if each not in asked and not each.out and not each.held]
        fitting = [each for each in others if each.fits(self.model, question)]
        return [each for each in fitting if each.weighed > each.unweighed] or fitting

    async def posted(self, path: str, body: Mapping[str, Any], question: Question) -> Answered:
        """The answer of a server with the route of `choices`.

        Args:
            path: of the route.
            body: of the request, without the model.
            question: the first question of the request, which says what is read before it.

        Raises:
            UnusableLabels: no server has it.
            RequestRefused, UnreadableReply, BackendUnavailable: as `Pool.reach`.
        """

        async def post(replica: Replica, _: bool) -> dict[str, Any]:
            if not (await replica.powers(self.model)).choices:
                raise UnusableLabels("the server has no such route")
            return await replica.server.post(path, {"model": self.model, **body})

        if len(self.pool.replicas) == 1:
            return Answered(answer=await post(self.pool.replicas[0], False), remarks=[])
        trip = Trip(fits=lambda each: (each.known_powers(self.model) or _ANY).choices)
        answer, _ = await self.pool.reach(post, trip=trip, key=prefix_of(question), model=self.model)
        return Answered(answer=answer, remarks=[], retries=trip.retries, wasted=trip.wasted)

    async def powers(self) -> Powers:
        """What at least one server heeds; where what is known will do, the rest is found out behind.

        Raises:
            BackendUnavailable: none answers.
        """
        if len(self.pool.replicas) == 1:
            return await self.pool.replicas[0].powers(self.model)
        looks = self.pool.looks(self.model)
        if looks and not self._known():
            _, looks = await asyncio.wait(looks, timeout=_FIRST_LOOK)
        while looks and not ((known := self._known()) and known.logprobs and known.schema):
            _, looks = await asyncio.wait(looks, return_when=asyncio.FIRST_COMPLETED)
        if known := self._known():
            return known
        found, _ = await self.pool.reach(
            lambda each, _: each.powers(self.model), trip=Trip(), model=self.model
        )
        return found

    def _known(self) -> Powers | None:
        """What is known of the servers that are there, together."""
        found = [each.known_powers(self.model) for each in self.pool.replicas if not each.out]
        known = [each for each in found if each is not None]
        return (
            known
            and Powers(
                logprobs=any(each.logprobs for each in known),
                schema=any(each.schema for each in known),
                choices=any(each.choices for each in known),
            )
        ) or None

    async def takes(self, pictures: int) -> bool:
        """Whether a request may hold so many pictures.

        Raises:
            BackendUnavailable: no server answers.
        """
        if len(self.pool.replicas) == 1:
            return await self.pool.replicas[0].negotiator(self.model).takes(pictures)
        taken, _ = await self.pool.reach(
            lambda each, _: each.negotiator(self.model).takes(pictures), trip=Trip(), model=self.model
        )
        return taken


async def model_of(pool: Pool) -> str:
    """The first model that answers a chat, of the first server that lists one.

    Raises:
        Misconfigured: there is none.
        BackendUnavailable: no server answers.
    """
    if len(pool.replicas) == 1:
        return await name_of(pool.replicas[0].server, pool.replicas[0].negotiator)
    found, _ = await pool.reach(lambda each, _: name_of(each.server, each.negotiator), trip=Trip())
    return found


def prefix_of(question: Question) -> str:
    """Identifies everything up to the last picture, which servers keep for the next question; "" without pictures."""
    if not question.pictures:
        return ""
    left, digest = question.pictures, blake2b(digest_size=16)
    for message in question.messages:
        content = message["content"]
        for part in [content] if isinstance(content, str) else content:
            if isinstance(part, dict) and part.get("type") == "image_url":
                left -= 1
            digest.update(repr(part).encode("utf-8", "replace"))
            if not left:
                return digest.hexdigest()
    return digest.hexdigest()
