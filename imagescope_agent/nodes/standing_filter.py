"""The filter of a search: of its settings, and of the conversation."""

from __future__ import annotations

from imagescope_agent.records import NoteDict, note
from imagescope_agent.retrieval.metadata.where import both
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.settings import Settings
from imagescope_agent.state import State


def standing_filter(state: State, settings: Settings) -> str:
    """What images must match to be found; "" for all."""
    return both(settings.where, state.get("where", ""))


def nothing_matches(where: str, collection: Collection) -> NoteDict:
    """A note on why a filter leaves nothing."""
    count = int(collection.matching(where).sum())
    if count:
        return note(
            "answer", "unmatched", f"none is left of the {count} images that match the filter {where}"
        )
    return note(
        "answer", "unmatched", f"no image matches the filter {where}; search with a wider one, or none"
    )
