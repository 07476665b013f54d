"""What is said about the parts of a message that change nothing."""

from __future__ import annotations

from collections.abc import Sequence

from imagescope_agent.dialogue_acts import SAYING
from imagescope_agent.errors import shorten
from imagescope_agent.nodes.intent.drift import is_english
from imagescope_agent.state import MessagePart

NOT_UNDERSTOOD = "I did not understand"
_IDLE = {
    "skip": "Then that stays open.",
    "aside": "That says nothing about a picture, so nothing was changed.",
}


def remarks(acts: Sequence[MessagePart]) -> list[str]:
    """What is said about the parts that change nothing."""
    found = {part["act"] for part in acts}
    unclear = [part["text"] for part in acts if part["act"] == "unclear"]
    said = [*map(misunderstood, unclear)]
    if found <= {"unclear"} and unclear:
        said.append(
            "Nothing was changed. Say in other words what the picture shows, or what it must not show."
        )
    elif not found & {*SAYING, "filter", "restart"}:
        said += [_IDLE[act] for act in ("aside", "skip") if act in found and "more" not in found]
    return said


def misunderstood(text: str) -> str:
    """What is said about a part that was not understood, and where it is in another language, that it is."""
    why = "" if is_english(text) else "; it seems to be in another language than English"
    return f'{NOT_UNDERSTOOD} "{shorten(text, 60)}"{why}.'
