"""A message that begins a new search: nothing that stood counts, and what it says beside that is a first message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imagescope_agent.state import OF_TOPIC, MessagePart, new_conversation

NEW_SEARCH = "This is a new search: what was said before no longer counts."
WHAT_NEXT = "Say what the picture shows."
#: What the other parts do where nothing stands that they could answer or change.
_NOW = {"answer": "wish", "correction": "wish", "withdrawal": "restart"}


def nothing_stands() -> dict[str, Any]:
    """The keys of the state for what is wanted, empty; limits of the collection stand."""
    reset = {*OF_TOPIC, "request", "intent", "facts", "anchor", "anchors"}
    kept = {name: value for name, value in new_conversation().items() if name in reset}
    pictures: dict[str, Any] = {"reference_captions": [], "references": [], "unlike": []}
    return {**kept, **pictures, "reference": None, "reference_caption": ""}


def left_over(acts: Sequence[MessagePart]) -> list[MessagePart]:
    """The acts of the parts where nothing stands any more."""
    return [MessagePart(text=part["text"], act=_NOW.get(part["act"], part["act"])) for part in acts]
