"""A role on a budget: a question that could cost more than is left is refused before it is asked.

What a question costs is known only afterwards. So its prompt is counted beforehand by the model (`TokenCounter`), or
taken for the most that it can be (`estimate`), its reply is held to what is left, and then the real cost is paid.
Questions that share a prefix cost less than they were counted for; what they leave over is spent on the next ones.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from imagescope_agent.errors import BudgetSpent, RequestRefused, UnreadableReply
from imagescope_agent.mllms.foreign import as_ours
from imagescope_agent.mllms.protocols import Attention, Choice, Embedding, TokenCounter
from imagescope_agent.mllms.request import Reply, Request, answered, chosen
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.schema import json_schema
from imagescope_agent.mllms.soundness import joined
from imagescope_agent.mllms.usage import tokens_of, total_usage

SHORT = 16  # tokens of a reply of which only the first word counts
LEAST = 48  # tokens without which a reply is not begun: cut off, it would be paid for and not be read
LONGEST = 512  # tokens of a reply where the model does not say
PICTURE = 4096  # tokens of a picture of up to 1,024 x 1,024 pixels; the dearest open models make 3,400 of it
TURN = 64  # tokens that a chat template adds to a message


class Purse:
    """What one step may still spend, and what it has spent; None is without limit."""

    def __init__(self, *, calls: int | None = None, tokens: int | None = None) -> None:
        self.calls, self.tokens = calls, tokens
        self.usage = total_usage([])
        self.remarks: set[str] = set()
        self.lock = asyncio.Lock()  # who asks while another's cost is unknown would be refused for nothing

    def room(self, prompts: Sequence[int], longest: int, least: int = LEAST) -> int:
        """How long a reply to each of the prompts may be, at most `longest`.

        Raises:
            BudgetSpent: not even `least` tokens, or not so many calls.
        """
        if self.calls is not None and len(prompts) > self.calls:
            raise BudgetSpent(f"{self.calls} model calls are left of the budget; give a larger one")
        if self.tokens is None:
            return longest
        needed = sum(prompts) + min(longest, least) * len(prompts)
        if needed > self.tokens:
            raise BudgetSpent(
                f"{self.tokens} tokens are left of the budget, and the next question may cost {needed}; "
                "give a larger one"
            )
        return min(longest, (self.tokens - sum(prompts)) // len(prompts))

    def fit(self, prompts: Sequence[int], groups: Sequence[int], longest: int) -> int:
        """How many of the first prompts may be asked, in whole groups, with replies of `longest`.

        The first group is asked if its replies can be of `LEAST` tokens.
        """
        asked = 0
        for size in groups:
            try:
                self.room(prompts[: asked + size], longest, longest if asked else LEAST)
            except BudgetSpent:
                break
            asked += size
        return asked

    def pay(self, usage: Mapping[str, Any]) -> None:
        """Take off what was really spent."""
        self.usage = total_usage([self.usage, usage])
        if self.calls is not None:
            self.calls = max(0, self.calls - int(usage["calls"]))
        if self.tokens is not None:
            self.tokens = max(0, self.tokens - tokens_of(usage))


class Bounded(Role):
    """A role that spends no more than its purse holds.

    Args:
        role: who is asked.
        purse: shared by all that is asked in one step.
    """

    def __init__(self, role: Role, purse: Purse) -> None:
        super().__init__(role.name, role.model, prompt_set=role.prompt_set)
        self.role, self.purse = role, purse
        self.longest = int(getattr(role.model, "max_tokens", None) or LONGEST)

    async def ask(
        self,
        requests: Sequence[Request],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int | None = None,
    ) -> list[Reply]:
        """As `Role.ask`, with replies no longer than the purse allows.

        Raises:
            BudgetSpent: they may not all be asked.
        """
        async with self.purse.lock:
            prompts = await self._count(requests, schema)
            return answered(await self._asked(requests, prompts, schema, max_tokens))

    async def choose(
        self, requests: Sequence[Request], choices: Sequence[str], *, max_tokens: int | None = None
    ) -> Choice:
        """As `Role.choose`.

        Raises:
            BudgetSpent: they may not all be asked.
        """
        async with self.purse.lock:
            choice = await self._chosen(requests, await self._count(requests), choices)
        return chosen(choice)

    async def ask_some(
        self,
        requests: Sequence[Request],
        groups: Sequence[int],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int | None = None,
    ) -> list[Reply]:
        """As `Role.ask_some`: whole groups of the first requests, as many as the purse pays for."""
        replies: list[Reply] = []
        longest = max_tokens or self.longest
        async with self.purse.lock:
            prompts = await self._count(requests, schema)
            while ready := self._next(prompts, groups, len(replies), longest):
                replies += await self._asked(requests[ready], prompts[ready], schema, max_tokens)
        return replies

    async def choose_some(
        self,
        requests: Sequence[Request],
        choices: Sequence[str],
        groups: Sequence[int],
        *,
        max_tokens: int | None = None,
    ) -> Choice:
        """As `Role.choose_some`: whole groups of the first requests, as many as the purse pays for."""
        parts: list[Choice] = []
        async with self.purse.lock:
            prompts = await self._count(requests)
            while ready := self._next(prompts, groups, sum(len(part.probabilities) for part in parts), SHORT):
                parts.append(await self._chosen(requests[ready], prompts[ready], choices))
        return joined(parts)

    async def affords(self, request: Request, calls: int) -> bool:
        """Whether so many verdicts on requests like this one stay within the purse for certain."""
        prompts = await self._count([request])
        return self.purse.fit(prompts * calls, [calls], SHORT) == calls

    async def attend(self, requests: Sequence[Request]) -> list[Attention]:
        """As `Role.attend`.

        Raises:
            BudgetSpent: they may not all be asked.
        """
        async with self.purse.lock:
            self.purse.room(await self._count(requests), 0)
            found = await self.role.attend(requests)
            self.purse.pay(total_usage([each.usage for each in found]))
        return found

    async def embed(self, requests: Sequence[Request]) -> Embedding:
        """As `Role.embed`.

        Raises:
            BudgetSpent: they may not all be asked.
        """
        async with self.purse.lock:
            self.purse.room(await self._count(requests), 0)
            found = await self.role.embed(requests)
            self.purse.pay(found.usage)
        return found

    def _next(self, prompts: Sequence[int], groups: Sequence[int], done: int, longest: int) -> slice | None:
        """The requests to ask now; None when there are no more, or none that the purse pays for."""
        waiting = list(groups)
        passed = 0
        while passed < done:
            passed += waiting.pop(0)
        ready = self.purse.fit(prompts[done:], waiting, longest)
        return slice(done, done + ready) if ready else None

    async def _asked(
        self,
        requests: Sequence[Request],
        prompts: Sequence[int],
        schema: type[BaseModel] | None,
        max_tokens: int | None,
    ) -> list[Reply]:
        if not requests:
            return []
        room = self.purse.room(prompts, max_tokens or self.longest)
        limit = max_tokens if self.purse.tokens is None else room
        replies = await self.role.ask_some(requests, (), schema=schema, max_tokens=limit)
        usage = total_usage([reply.usage for reply in replies])
        replies[0].notes.extend(self._paid(usage, sum(prompts) + room * len(requests)))
        return replies

    async def _chosen(
        self, requests: Sequence[Request], prompts: Sequence[int], choices: Sequence[str]
    ) -> Choice:
        if not requests:
            return await self.role.choose_some(requests, choices, ())
        room = self.purse.room(prompts, SHORT, SHORT)
        limit = None if self.purse.tokens is None else room
        choice = await self.role.choose_some(requests, choices, (), max_tokens=limit)
        choice.notes.extend(self._paid(choice.usage, sum(prompts) + room * len(requests)))
        return choice

    def _paid(self, usage: Mapping[str, Any], most: int) -> list[dict[str, str]]:
        """Pay; what was found out about the model's honesty, said once."""
        limited = self.purse.tokens is not None
        self.purse.pay(usage)
        found = []
        if limited and not isinstance(self.model, TokenCounter):
            found.append("the model cannot count a prompt beforehand; every prompt is taken for the longest")
        if limited and usage["calls"] and not tokens_of(usage):
            found.append("the model does not tell what it costs, so the budget of tokens cannot be kept")
        if limited and tokens_of(usage) > most:
            found.append("the model took more tokens than it was allowed, so the budget may be exceeded")
        new = [each for each in found if each not in self.purse.remarks]
        self.purse.remarks.update(new)
        return [self._note("budget", each) for each in new]

    async def _count(self, requests: Sequence[Request], schema: type[BaseModel] | None = None) -> list[int]:
        """Tokens of each prompt, at most; 0 where only calls are limited."""
        if self.purse.tokens is None or not requests:
            return [0] * len(requests)
        messages = [request.messages() for request in requests]
        if isinstance(self.model, TokenCounter):
            with suppress(RequestRefused, UnreadableReply), as_ours(self.model):
                counts = await self.model.acount(messages)
                if len(counts) == len(requests) and all(type(each) is int and each >= 0 for each in counts):
                    return counts
        # some servers put the schema into the prompt
        told = 0 if schema is None else len(json.dumps(json_schema(schema)))
        return [estimate(each) + told for each in messages]


def estimate(messages: Sequence[BaseMessage]) -> int:
    """The most tokens that a prompt can have for a model that does not count: a byte is at least one token.

    A picture counts `PICTURE`, a message `TURN` beside its text.
    """
    total = 0
    for message in messages:
        total += TURN
        blocks = [message.content] if isinstance(message.content, str) else message.content
        for block in blocks:
            text = block if isinstance(block, str) else block.get("text")
            total += PICTURE if text is None else len(str(text).encode())
    return total
