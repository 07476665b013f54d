"""A second reading of a query whose first reading lost a part of it, in the words that the models know."""

from __future__ import annotations

import re
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.nodes.intent.drift import drift
from imagescope_agent.nodes.intent.dropped_words import dropped_words
from imagescope_agent.nodes.intent.plain_words import plain_words
from imagescope_agent.nodes.intent.understand import Understand, reference_words
from imagescope_agent.nodes.model_calls import account
from imagescope_agent.records import note
from imagescope_agent.run_budget import remaining
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Intent, State, references_of


class ReadAgain(Understand):
    """Reads a query once more in plain words where the first reading lacks words of it; the fuller reading counts.

    By `Settings.reread`, and not where several references or a negation would lose what they mean.
    """

    step = "reread"

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `intent` where the second reading carries more of the query's words and loses no other, else nothing.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for, or has nothing to do with the query.
        """
        settings, query = current(runtime), state["query"]
        if not settings.reread or len(references_of(state)) > 1 or remaining(state, settings) == 0:
            return {}
        plain = plain_words(query, getattr(self.embedder, "domain", None))
        missed = _missed(state["intent"], query)
        lost = [word for word in missed if word in _words(plain)]
        if not lost:
            return {}
        intent, reply, text, _ = await self._ask({**state, "query": plain}, settings, again)
        known = reference_words(state)
        if problem := await drift(intent, plain, known, self.prompt.examples, self.embedder):
            raise reply.unusable(problem, text)
        fuller = set(_missed(intent, query)) < set(missed)
        shown = ", ".join(map(repr, lost[:5]))
        detail = f"{shown} was not understood, so that {plain!r} was read as well"
        told = account(self, reply, notes=[note(self.step, "retried", detail)])
        return {"intent": intent, "given_predicates": [], **told} if fuller else told


def first_reading(state: State) -> dict[str, Any]:
    """Fallback: what was understood first."""
    return {}


def _missed(intent: Intent, query: str) -> list[str]:
    return list(dict.fromkeys(word.lower() for word in dropped_words(intent, query)))


def _words(text: str) -> set[str]:
    """The words of a text as `dropped_words` takes them: "kettle's" is a kettle."""
    return set(re.findall(r"[^\W\d_]{3,}", text))
