"""A message in words that the models were taught: no typing errors, no other words for what they know."""

from __future__ import annotations

import asyncio

from imagescope_agent.nodes.chat.language.spelling import corrected
from imagescope_agent.nodes.chat.language.synonyms import in_known_words, in_taught_words
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.retrieval.other_words import OtherWords
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.state import State


async def in_known_words_of(part: str, vocabulary: Vocabulary, embedder: Embedder | None) -> str:
    """A part of a message as `as_meant` reads it; as it stands where more than a third would change, as in Dutch."""
    said: State = {"query": part, "acts": []}
    meant, typed = (await as_meant(said, vocabulary, embedder))[0]["query"], content_words(part)
    return part if 3 * len(typed - content_words(meant)) > len(typed) else meant


async def as_meant(
    typed: State, vocabulary: Vocabulary, embedder: Embedder | None
) -> tuple[State, list[str]]:
    """The state with the message and its parts in known words, and what is said about each word that was another.

    Args:
        typed: with the message as it was written.
        vocabulary: of the captions, whose words stay.
        embedder: knows what was taught, and compares other words; None for typing errors alone.
    """
    others: OtherWords | None = getattr(embedder, "other_words", None)
    state, misspelt = corrected(typed, vocabulary, frozenset() if others is None else others.english())
    state, reread = await in_taught_words(state, vocabulary, embedder)
    return await asyncio.to_thread(in_known_words, state, vocabulary, embedder), [*misspelt, *reread]
