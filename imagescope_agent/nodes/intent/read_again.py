"""A second reading of a query whose first reading contradicts or lost a part of it, in words that the models know."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.chat.language.coverage import phrases
from imagescope_agent.nodes.chat.language.vocabulary import vocabulary_of
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
from imagescope_agent.nodes.intent.kept_things import as_shown
from imagescope_agent.nodes.intent.misplaced import misplaced, plainly
from imagescope_agent.nodes.intent.named_things import completed, unread_exclusions, with_new_things
from imagescope_agent.nodes.intent.plain_words import plain_words
from imagescope_agent.nodes.intent.understand import Understand, reference_words
from imagescope_agent.nodes.model_calls import account
from imagescope_agent.records import note
from imagescope_agent.retrieval.protocols import Collection, Embedder
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

    What a query without a picture names in words of the captions, and the better reading leaves out, is added to it.

    Args:
        reasoner, embedder, several: as `Understand`.
        images: whose captions tell what can be named; None names nothing.
    """

    step = "reread"

    def __init__(
        self,
        reasoner: Role,
        embedder: Embedder | None = None,
        several: Role | None = None,
        images: Collection | None = None,
    ) -> None:
        super().__init__(reasoner, embedder, several)
        self.images = images

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `intent` where it changes, else nothing.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for, or has nothing to do with the query.
        """
        told = await self._second(state, current(runtime), again)
        completed = await self.first_reading({**state, "intent": told.get("intent", state["intent"])})
        notes = [*told.get("notes", []), *completed.get("notes", [])]
        return {**told, **completed, **({"notes": notes} if notes else {})}

    async def first_reading(self, state: State) -> dict[str, Any]:
        """Fallback: what was understood first, with what the query names beside it."""
        if (count := len(references_of(state))) > 1:
            return {}
        words, read, query = vocabulary_of(self.images), state["intent"], state["query"]
        if count:
            kept, told = as_shown(read, state["reference_caption"], self.step)
            intent, notes = with_new_things(kept, query, words, self.step)
            notes = [*told, *notes]
        else:
            intent, notes = await completed(read, query, self.embedder, words, self.step)
        return {"intent": intent, "given_predicates": [], "notes": notes} if notes else {}

    async def _second(self, state: State, settings: Settings, again: str) -> dict[str, Any]:
        """The second reading, where it is better, and what it cost."""
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
        words = vocabulary_of(self.images)
        if state["reference"] is not None and (lost := unread_exclusions(first, query, words)):
            things = [each.text for each in phrases(query, words)]
            plain = "without " + " and ".join(lost) if things == lost else ""
            why = f"{lost[0]!r} is excluded by the words"
            return plain, why, lambda found: not unread_exclusions(found, query, words)
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
    """What speaks against a reading of a query about several references; of several doubts one with plain words."""
    if untaken_colour(first, query, captions) and (plain := in_plain_colour(first, query, captions)):
        why = "nothing takes over the colour that the words speak of"
        return plain, why, lambda found: not untaken_colour(found, plain, captions)
    for doubts, why in (
        (unnamed_things(first, query), "things were kept that no word is about"),
        (unused_place(first, query, captions), "a reference was left out though the words speak of a place"),
    ):
        if doubts and (plain := in_plain_place(query, captions)):
            return (
                plain,
                why,
                lambda found: not (unnamed_things(found, query) or unused_place(found, query, captions)),
            )
    if misplaced(first, query, captions) and (plain := plainly(first, query, captions)):
        why = "other things of the references were kept than the words name"
        return plain, why, lambda found: not misplaced(found, plain, captions)
    return "", "", bool


def _missed(intent: Intent, query: str) -> list[str]:
    return list(dict.fromkeys(word.lower() for word in dropped_words(intent, query)))


def _words(text: str) -> set[str]:
    """The words of a text as `dropped_words` takes them: "kettle's" is a kettle."""
    return set(re.findall(r"[^\W\d_]{3,}", text))
