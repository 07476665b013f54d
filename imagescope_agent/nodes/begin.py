"""The first node of every graph: validate the input and reset the state of the turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.common.visible_text import said
from imagescope_agent.errors import BadInput, shorten
from imagescope_agent.nodes.intent.drift import is_english
from imagescope_agent.nodes.intent.references import absent, find_picture, find_pictures
from imagescope_agent.records import note
from imagescope_agent.retrieval.other_words import OtherWords, in_read_words, told_readings
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import RepeatedSearchInput, new_turn, overwrite

MAX_QUERY = 8_000


class Begin:
    """Validates query and reference, and resets the keys of a turn; verdicts stay, since they hold for any query.

    Args:
        collection: the images.
        embedder: one with `other_words` has the query read in words that its models were taught.
    """

    step = "begin"

    def __init__(self, collection: Collection, embedder: Embedder | None = None) -> None:
        self.collection, self.embedder = collection, embedder

    async def __call__(self, state: RepeatedSearchInput, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return every key of a turn, empty, and the pictures as `find_pictures` gives them.

        Raises:
            BadInput: an empty or too long query, a reference that is not there, rejected images that are no list, or
                a filter that cannot be used.
        """
        if where := current(runtime).where:
            await asyncio.to_thread(self.collection.matching, where)
        check_rejected(state.get("rejected", []))
        query = check_query(state.get("query"))
        if any(state.get(name) for name in ("reference", "references", "unlike")):
            pictures, notes = await asyncio.to_thread(find_pictures, state, self.collection)
        else:  # no file is read, and a thread would cost more than looking
            pictures, notes = find_pictures(state, self.collection)
        notes += absent(query, pictures)
        read = await read_as(query, self.embedder)
        notes = [*notes, *([note(self.step, "reworded", told_readings(read))] if read else [])]
        asked = {"query": in_read_words(query, read), "own_words": query} if read else {"query": query}
        return {**overwrite({**new_turn(), "notes": notes}), **asked, **pictures}


async def read_as(
    query: str, embedder: Embedder | None, known: Callable[[str], bool] = lambda word: False
) -> dict[str, str]:
    """Words of a query that the models of an embedder were not taught -> what they are read as.

    Args:
        query: nothing of it is read in another language than English.
        embedder: reads nothing without `other_words`.
        known: which further words stay as they are.
    """
    others: OtherWords | None = getattr(embedder, "other_words", None)
    if others is None or not others.unknown(query, known) or not is_english(query):
        return {}
    return await asyncio.to_thread(others.read, query, known)


def check_query(text: object) -> str:
    """The query without whitespace and zero-width characters around it.

    Raises:
        BadInput: it is no valid text, says nothing, or is longer than `MAX_QUERY` characters.
    """
    if not isinstance(text, str):
        raise BadInput(f"the query is {type(text).__name__}, not text; say what to look for")
    if not (query := said(text)):
        raise BadInput("the query is empty; say what to look for")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadInput(
            f"the query is not valid UTF-8 text at character {error.start + 1}; type it anew"
        ) from error
    if len(text) > MAX_QUERY:
        raise BadInput(f"the query has {len(text)} characters; say it in at most {MAX_QUERY}")
    return query


def check_rejected(ids: object) -> None:
    """Make sure that ids are a list of strings.

    Raises:
        BadInput: they are not.
    """
    if not isinstance(ids, list | tuple) or not all(isinstance(name, str) for name in ids):
        raise BadInput(f"rejected is {shorten(repr(ids), 60)}; give a list of ids of the collection")


def find_reference(reference: object, collection: Collection) -> str | None:
    """As `references.find_picture`; None for none."""
    return None if reference is None else find_picture(reference, collection)
