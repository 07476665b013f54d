"""Getting a whole reply: one that the limit of tokens cut off is asked for once more under a larger one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from imagescope_agent.errors import RequestRefused, UnreadableReply
from imagescope_agent.mllms.openai.dialect import Question
from imagescope_agent.mllms.openai.replicas.asking import Asking
from imagescope_agent.mllms.openai.responses import Written, image_prefills, token_counts, written
from imagescope_agent.mllms.output_validation import sound_notes

_BRACES = 50  # places where the object of a reply may begin


class Reading:
    """One question and what its replies cost.

    Args:
        asking: who asks.
        whole: whether the reply is of use only with a whole JSON object in it.

    Attributes:
        remarks: what the question had to do without.
        retries: servers that failed before another was asked.
        notes: of servers of our own.
        prompt_tokens, completion_tokens, image_prefills: of all replies.
    """

    def __init__(self, asking: Asking, *, whole: bool) -> None:
        self._asking, self._whole = asking, whole
        self.remarks: list[str] = []
        self.retries: list[str] = []
        self.notes: list[dict[str, str]] = []
        self.calls = self.prompt_tokens = self.completion_tokens = self.image_prefills = 0

    async def read(self, question: Question, *, larger: int = 0) -> Written:
        """The reply.

        Args:
            question: what is asked.
            larger: the limit of tokens under which a reply that was cut off is asked for again; 0 for never.

        Raises:
            UnreadableReply: cut off before it was of use, or thoughts without an answer; with the cost of all.
            RequestRefused, BackendUnavailable: as `Asking.asked`.
        """
        reply, limit = await self._asked(question), question.limit
        if self._broken(reply) and larger > limit:
            with suppress(RequestRefused):  # of a server that allows no longer ones
                reply, limit = await self._asked(replace(question, limit=larger)), larger
        if self._broken(reply):
            problem = f"the reply was cut off at {limit} tokens"
            if reply.unspoken:
                problem += ", all of which went into thoughts" if reply.thought or reply.text.strip() else ""
            raise UnreadableReply(
                f"{problem}; raise max_tokens of the model in the profile",
                reply=reply.text,
                usage=self._usage,
            )
        if reply.thought and not reply.text.strip():
            raise UnreadableReply(
                "the model wrote thoughts and no answer", reply=reply.text, usage=self._usage
            )
        return reply

    async def _asked(self, question: Question) -> Written:
        try:
            found = await self._asking.asked(question)
        except UnreadableReply as error:
            self._count(error.usage)
            self.calls += min(1, error.usage.get("calls", 1))  # 0: no reply came at all, beside those before
            error.usage = {**error.usage, **self._usage, "calls": self.calls}
            raise
        self.calls += 1
        for each in (found.answer, *found.wasted):
            read, wrote = token_counts(each)
            self._count({"prompt_tokens": read, "completion_tokens": wrote})
        self.image_prefills += image_prefills(found.answer)
        self.notes += sound_notes(found.answer.get("notes"))
        self.remarks = list(dict.fromkeys([*self.remarks, *found.remarks]))
        self.retries = list(dict.fromkeys([*self.retries, *found.retries]))
        return written(found.answer)

    def _count(self, usage: Mapping[str, Any]) -> None:
        self.prompt_tokens += usage.get("prompt_tokens", 0)
        self.completion_tokens += usage.get("completion_tokens", 0)

    @property
    def _usage(self) -> dict[str, Any]:
        return {
            "calls": max(1, self.calls),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "image_prefills": self.image_prefills,
        }

    def _broken(self, reply: Written) -> bool:
        return reply.cut and (reply.unspoken or (self._whole and not _holds_object(reply.text)))


def _holds_object(text: str) -> bool:
    """Whether a whole JSON object stands somewhere in the text."""
    decoder, start = json.JSONDecoder(), text.find("{")
    for _ in range(_BRACES):
        if start < 0:
            return False
        try:
            decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
        else:
            return True
    return False
