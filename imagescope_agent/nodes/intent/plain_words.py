"""A query in the words that the models know, without what leads to it or stands around it."""

from __future__ import annotations

import re

from imagescope_agent.prompting import NEGATED
from imagescope_agent.retrieval.domain import Domain
from imagescope_agent.retrieval.function_words import FUNCTION_WORDS
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.retrieval.stems import words_of
from imagescope_agent.state import State

#: Words of grammar that stay within a part of the query; at its edges they go.
_LINKS = frozenset("a an the and or with of in on at to by".split())  # noqa: SIM905
_ARTICLES = frozenset(("a", "an", "the"))
_PLACES = frozenset(("in", "on", "at", "by"))


def in_plain_words(state: State, embedder: Embedder | None) -> State:
    """The state with its query in plain words, for models that could not read it; as it is where none are known."""
    domain: Domain | None = getattr(embedder, "domain", None)
    plain = plain_words(state["query"], domain) if domain is not None else ""
    return {**state, "query": plain} if plain else state


def plain_words(query: str, domain: Domain | None = None) -> str:
    """The parts of a query that describe something, joined by "and"; "" where a negation could be lost.

    Args:
        query: in English.
        domain: whose words are known; None knows all.
    """
    if NEGATED.search(query):
        return ""
    parts: list[list[str]] = [[]]
    for token in re.findall(r"[\w'’]+|[^\w\s]", query):
        if _stays(token.lower(), domain):
            parts[-1].append(token.lower())
        else:
            parts.append([])
    return " and ".join(filter(None, (_trimmed(part) for part in parts)))


def _stays(word: str, domain: Domain | None) -> bool:
    if word in _LINKS or any(map(str.isdigit, word)):
        return True
    if word in FUNCTION_WORDS or not (stems := words_of(word)):
        return False
    return domain is None or all(stem in domain.words for stem in stems)


def _trimmed(part: list[str]) -> str:
    """A part without links at its edges, but for an article or a place at its beginning."""
    while part and part[-1] in _LINKS:
        part = part[:-1]
    while part and part[0] in _LINKS - _ARTICLES - _PLACES:
        part = part[1:]
    return " ".join(part)
