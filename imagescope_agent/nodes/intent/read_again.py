"""A second reading of a query whose first reading contradicts or lost a part of it, in words that the models know."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.nodes.intent.contradictions import (
    in_plain_colour,
    in_plain_place,
    turns_around,
    unnamed_things,
    unsaid_exclusion,
    untaken_colour,
    unused_place,
)
from imagescope_agent.nodes.intent.drift import drift
from imagescope_agent.nodes.intent.dropped_words import dropped_words
from imagescope_agent.nodes.intent.plain_words import plain_words
from imagescope_agent.nodes.intent.understand import Understand, reference_words
from imagescope_agent.nodes.model_calls import account
from imagescope_agent.records import note
from imagescope_agent.run_budget import remaining
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Intent, State, references_of

#: The query in plain words, why it is read again, and whether another reading is better than the first.
_Doubt = tuple[str, str, Callable[[Intent], bool]]


class ReadAgain(Understand):
    """Reads a query once more in plain words where the first reading cannot be right; the better reading counts.

    That is where it excludes something though no word does, takes over no colour of another reference though the words
    speak of one, keeps things of a reference that no word is about, or leaves a reference out though the words speak of
    a place; by `Settings.reread` also where it lacks words of a query with at most one reference, and then what the
    first excludes stays excluded. A query with a negation has no plain words.
    """

    step = "reread"

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `intent` where the second reading is better, else nothing.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for, or has nothing to do with the query.
        """
        settings = current(runtime)
        if remaining(state, settings) == 0:
            return {}
        plain, why, better = self._doubt(state, settings)
        if not plain:
            return {}
        intent, reply, text, _ = await self._ask({**state, "query": plain}, settings, again)
        known = reference_words(state)
        if problem := await drift(intent, plain, known, self.prompt.examples, self.embedder):
            raise reply.unusable(problem, text)
        told = account(
            self, reply, notes=[note(self.step, "retried", f"{why}, so that {plain!r} was read as well")]
        )
        return {"intent": intent, "given_predicates": [], **told} if better(intent) else told

    def _doubt(self, state: State, settings: Settings) -> _Doubt:
        """What speaks against the first reading; plain words are "" where nothing does."""
        first, query = state["intent"], state["query"]
        if len(references_of(state)) > 1:
            return _doubt_of_several(first, query, state.get("reference_captions") or [])
        plain, missed = plain_words(query, getattr(self.embedder, "domain", None)), _missed(first, query)
        if state["reference"] is None and unsaid_exclusion(first, query):
            why = "something is excluded though no known word excludes anything"
            return (
                plain,
                why,
                lambda found: (
                    not unsaid_exclusion(found, query) and set(_missed(found, query)) <= set(missed)
                ),
            )
        lost = [word for word in missed if word in _words(plain)] if settings.reread else []
        shown = ", ".join(map(repr, lost[:5]))
        why = f"{shown} was not understood"
        return (
            plain if lost else "",
            why,
            lambda found: set(_missed(found, query)) < set(missed) and not turns_around(first, found),
        )


def _doubt_of_several(first: Intent, query: str, captions: Sequence[str]) -> _Doubt:
    """What speaks against a reading of a query about several references."""
    if untaken_colour(first, query, captions):
        plain = in_plain_colour(first, query, captions)
        why = "nothing takes over the colour that the words speak of"
        return plain, why, lambda found: not untaken_colour(found, plain, captions)
    if unnamed_things(first, query):
        plain, why = in_plain_place(query, captions), "things were kept that no word is about"
        return plain, why, lambda found: not unnamed_things(found, query)
    if unused_place(first, query, captions):
        plain, why = (
            in_plain_place(query, captions),
            "a reference was left out though the words speak of a place",
        )
        return plain, why, lambda found: not unused_place(found, query, captions)
    return "", "", bool


def first_reading(state: State) -> dict[str, Any]:
    """Fallback: what was understood first."""
    return {}


def _missed(intent: Intent, query: str) -> list[str]:
    return list(dict.fromkeys(word.lower() for word in dropped_words(intent, query)))


def _words(text: str) -> set[str]:
    """The words of a text as `dropped_words` takes them: "kettle's" is a kettle."""
    return set(re.findall(r"[^\W\d_]{3,}", text))
