"""Budget of model calls and tokens: a request that could exceed it is refused before it is sent.

The cost of a request is known only afterwards. Its prompt is therefore counted beforehand by the model
(`TokenCounter`) or estimated from above (`estimate_tokens`), `max_tokens` of its reply is limited to what is left, and
then the real usage is recorded. Requests that share a prefix cost less than counted; the rest goes to the next ones.
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
from imagescope_agent.mllms.output_validation import joined
from imagescope_agent.mllms.protocols import Attention, Choice, Embedding, TokenCounter
from imagescope_agent.mllms.provider_errors import as_ours
from imagescope_agent.mllms.request import Reply, Request, answered, chosen
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.schema import json_schema
from imagescope_agent.usage import Usage, total_usage

CHOICE_TOKENS = 16  # max_tokens of a reply of which only the first word counts
MIN_REPLY_TOKENS = 48  # a reply is not requested with fewer: cut off, it would cost tokens and be unreadable
DEFAULT_MAX_TOKENS = 512  # of a reply, where the model does not say
IMAGE_TOKENS = 4096  # upper bound for an image of 1,024 x 1,024 pixels; open models make up to 3,400 of it
MESSAGE_TOKENS = 64  # upper bound of what a chat template adds to a message


class Budget:
    """Remaining calls and tokens of one step, and its usage so far; None is without limit.

    Attributes:
        calls: that remain.
        tokens: that remain, of prompts and replies.
        usage: so far.
        warnings: that were given.
        lock: held from counting to spending: concurrent requests would be refused because of unknown costs.
    """

    def __init__(self, *, calls: int | None = None, tokens: int | None = None) -> None:
        self.calls, self.tokens = calls, tokens
        self.usage = total_usage([])
        self.warnings: set[str] = set()
        self.lock = asyncio.Lock()

    def reply_limit(self, prompts: Sequence[int], max_tokens: int, least: int = MIN_REPLY_TOKENS) -> int:
        """The longest reply to each of the prompts that the budget allows, at most `max_tokens`.

        Args:
            prompts: their lengths.
            max_tokens: longest reply that is wanted.
            least: shortest limit that is of use.

        Raises:
            BudgetSpent: fewer than `least` tokens a reply, or too few calls.
        """
        if self.calls is not None and len(prompts) > self.calls:
            raise BudgetSpent(f"{self.calls} model calls are left of the budget; give a larger one")
        if self.tokens is None:
            return max_tokens
        needed = sum(prompts) + min(max_tokens, least) * len(prompts)
        if needed > self.tokens:
            raise BudgetSpent(
                f"{self.tokens} tokens are left of the budget, and the next question may cost {needed}; "
                "give a larger one"
            )
        return min(max_tokens, (self.tokens - sum(prompts)) // len(prompts))

    def affordable(self, prompts: Sequence[int], groups: Sequence[int], max_tokens: int) -> int:
        """How many of the first prompts may be sent, in whole groups, with replies of `max_tokens`.

        For the first group, replies of `MIN_REPLY_TOKENS` are enough.
        """
        count = 0
        for size in groups:
            try:
                self.reply_limit(
                    prompts[: count + size], max_tokens, max_tokens if count else MIN_REPLY_TOKENS
                )
            except BudgetSpent:
                break
            count += size
        return count

    def spend(self, usage: Mapping[str, Any]) -> None:
        """Record real usage."""
        self.usage = total_usage([self.usage, usage])
        if self.calls is not None:
            self.calls = max(0, self.calls - int(usage["calls"]))
        if self.tokens is not None:
            self.tokens = max(0, self.tokens - Usage.from_dict(usage).tokens)


class BudgetedRole(Role):
    """A role whose requests stay within a budget.

    Args:
        role: sends the requests.
        budget: shared by all requests of one step.
    """

    def __init__(self, role: Role, budget: Budget) -> None:
        super().__init__(role.name, role.model, prompt_set=role.prompt_set)
        self.role, self.budget = role, budget
        self.max_tokens = int(getattr(role.model, "max_tokens", None) or DEFAULT_MAX_TOKENS)

    async def ask(
        self,
        requests: Sequence[Request],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int | None = None,
    ) -> list[Reply]:
        """As `Role.ask`, with replies no longer than the budget allows.

        Raises:
            BudgetSpent: it does not cover all requests.
        """
        async with self.budget.lock:
            prompts = await self._count(requests, schema)
            return answered(await self._ask(requests, prompts, schema, max_tokens))

    async def choose(
        self, requests: Sequence[Request], choices: Sequence[str], *, max_tokens: int | None = None
    ) -> Choice:
        """As `Role.choose`.

        Raises:
            BudgetSpent: the budget does not cover all requests.
        """
        async with self.budget.lock:
            choice = await self._choose(requests, await self._count(requests), choices)
        return chosen(choice)

    async def ask_some(
        self,
        requests: Sequence[Request],
        groups: Sequence[int],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int | None = None,
    ) -> list[Reply]:
        """As `Role.ask_some`: whole groups of the first requests, as many as the budget covers."""
        replies: list[Reply] = []
        longest = max_tokens or self.max_tokens
        async with self.budget.lock:
            prompts = await self._count(requests, schema)
            while ready := self._next(prompts, groups, len(replies), longest):
                replies += await self._ask(requests[ready], prompts[ready], schema, max_tokens)
        return replies

    async def choose_some(
        self,
        requests: Sequence[Request],
        choices: Sequence[str],
        groups: Sequence[int],
        *,
        max_tokens: int | None = None,
    ) -> Choice:
        """As `Role.choose_some`: whole groups of the first requests, as many as the budget covers."""
        parts: list[Choice] = []
        async with self.budget.lock:
            prompts = await self._count(requests)
            while ready := self._next(
                prompts, groups, sum(len(part.probabilities) for part in parts), CHOICE_TOKENS
            ):
                parts.append(await self._choose(requests[ready], prompts[ready], choices))
        return joined(parts)

    @property
    def query_words(self) -> tuple[str, str | None] | None:
        """As `Role.query_words`."""
        return self.role.query_words

    def has(self, power: type[Any]) -> bool:
        """As `Role.has`."""
        return self.role.has(power)

    async def affords(self, request: Request, calls: int) -> bool:
        """Whether the budget certainly covers so many choices on requests like this one."""
        prompts = await self._count([request])
        return self.budget.affordable(prompts * calls, [calls], CHOICE_TOKENS) == calls

    async def attend(self, requests: Sequence[Request]) -> list[Attention]:
        """As `Role.attend`.

        Raises:
            BudgetSpent: the budget does not cover all requests.
        """
        async with self.budget.lock:
            self.budget.reply_limit(await self._count(requests), 0)
            found = await self.role.attend(requests)
            self.budget.spend(total_usage([each.usage for each in found]))
        return found

    async def embed(self, requests: Sequence[Request]) -> Embedding:
        """As `Role.embed`.

        Raises:
            BudgetSpent: the budget does not cover all requests.
        """
        async with self.budget.lock:
            self.budget.reply_limit(await self._count(requests), 0)
            found = await self.role.embed(requests)
            self.budget.spend(found.usage)
        return found

    def _next(
        self, prompts: Sequence[int], groups: Sequence[int], done: int, max_tokens: int
    ) -> slice | None:
        """The requests to send next; None when there are no more, or none that the budget covers."""
        waiting = list(groups)
        passed = 0
        while passed < done:
            passed += waiting.pop(0)
        ready = self.budget.affordable(prompts[done:], waiting, max_tokens)
        return slice(done, done + ready) if ready else None

    async def _ask(
        self,
        requests: Sequence[Request],
        prompts: Sequence[int],
        schema: type[BaseModel] | None,
        max_tokens: int | None,
    ) -> list[Reply]:
        if not requests:
            return []
        allowed = self.budget.reply_limit(prompts, max_tokens or self.max_tokens)
        limit = max_tokens if self.budget.tokens is None else allowed
        replies = await self.role.ask_some(requests, (), schema=schema, max_tokens=limit)
        usage = total_usage([reply.usage for reply in replies])
        replies[0].notes.extend(self._record(usage, sum(prompts) + allowed * len(requests)))
        return replies

    async def _choose(
        self, requests: Sequence[Request], prompts: Sequence[int], choices: Sequence[str]
    ) -> Choice:
        if not requests:
            return await self.role.choose_some(requests, choices, ())
        allowed = self.budget.reply_limit(prompts, CHOICE_TOKENS, CHOICE_TOKENS)
        limit = None if self.budget.tokens is None else allowed
        choice = await self.role.choose_some(requests, choices, (), max_tokens=limit)
        choice.notes.extend(self._record(choice.usage, sum(prompts) + allowed * len(requests)))
        return choice

    def _record(self, usage: Mapping[str, Any], most: int) -> list[dict[str, str]]:
        """Record usage; warn once if the model cannot keep the budget."""
        limited = self.budget.tokens is not None
        self.budget.spend(usage)
        warnings = []
        if limited and not isinstance(self.model, TokenCounter):
            warnings.append(
                "the model cannot count a prompt beforehand; every prompt is taken for the longest"
            )
        tokens = Usage.from_dict(usage).tokens
        if limited and usage["calls"] and not tokens:
            warnings.append("the model does not tell what it costs, so the budget of tokens cannot be kept")
        if limited and tokens > most:
            warnings.append("the model took more tokens than it was allowed, so the budget may be exceeded")
        new = [each for each in warnings if each not in self.budget.warnings]
        self.budget.warnings.update(new)
        return [self._note("budget", each) for each in new]

    async def _count(self, requests: Sequence[Request], schema: type[BaseModel] | None = None) -> list[int]:
        """Tokens of each prompt, at most; 0 where only calls are limited."""
        if self.budget.tokens is None or not requests:
            return [0] * len(requests)
        messages = [request.messages() for request in requests]
        if isinstance(self.model, TokenCounter):
            with suppress(RequestRefused, UnreadableReply), as_ours(self.model):
                counts = await self.model.acount(messages)
                if len(counts) == len(requests) and all(type(each) is int and each >= 0 for each in counts):
                    return counts
        # some servers put the schema into the prompt
        extra = 0 if schema is None else len(json.dumps(json_schema(schema)))
        return [estimate_tokens(each) + extra for each in messages]


def estimate_tokens(messages: Sequence[BaseMessage]) -> int:
    """Upper bound of a prompt's tokens for a model that does not count them: a token is at least one byte.

    An image counts `IMAGE_TOKENS`, a message `MESSAGE_TOKENS` beside its text.
    """
    total = 0
    for message in messages:
        total += MESSAGE_TOKENS
        blocks = [message.content] if isinstance(message.content, str) else message.content
        for block in blocks:
            text = block if isinstance(block, str) else block.get("text")
            total += IMAGE_TOKENS if text is None else len(str(text).encode())
    return total
