"""What is kept of a reference is checked against its caption and against what goes; asks no model."""

from __future__ import annotations

import re

from imagescope_agent.nodes.caption_support import exactly, number_of
from imagescope_agent.nodes.chat.language.grounding import NUMBERS
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.nodes.rival_counts import as_many
from imagescope_agent.records import NoteDict, note
from imagescope_agent.state import Instruction, Intent

_HAS = re.compile(r"\b(?:with|wearing|holding|carrying|on|in|of)\b", re.I)


def as_shown(intent: Intent, caption: str, step: str) -> tuple[Intent, list[NoteDict]]:
    """The intent without what is kept and goes at once, kept numbers as the caption has them, and notes on that.

    "a black car" is not kept where no car at all is wanted, and "exactly three cars" are two where the caption names
    two of them.

    Args:
        intent: of a query about one reference.
        caption: of that.
        step: whose notes these are.
    """
    gone = [each["text"] for each in intent["steps"] if each["type"] == "Removal"]
    steps, notes = list[Instruction](), list[NoteDict]()
    for each in intent["steps"]:
        kept = each["type"] == "Retention"
        if kept and any(_is_one_of(each["text"], text) for text in gone):
            notes.append(note(step, "contradiction", f"{each['text']!r} is kept and goes; it goes"))
            continue
        if kept and (right := _counted(each["text"], caption)) != each["text"]:
            notes.append(
                note(step, "repaired", f"{each['text']!r} is to be kept, and the caption has {right}")
            )
            each = {**each, "text": right}
        steps.append(each)
    return ({**intent, "steps": steps} if notes else intent), notes


def _is_one_of(kept: str, gone: str) -> bool:
    """Whether a thing is one of those that go: a black car of "a car", but no man with a hat of "a hat"."""
    thing, other = content_words(kept.split()[-1]), content_words(gone.split()[-1]) if gone.split() else set()
    return thing == other and content_words(gone) <= content_words(kept) and not _HAS.search(kept)


def _counted(text: str, caption: str) -> str:
    """A number of things as a caption has it; as it is where that names none of them, or does not say how many."""
    told = exactly(text) if text.lower().startswith("exactly ") else None
    number = number_of(caption, told[1]) if told else None
    if not told or not number or number >= len(NUMBERS) or number == told[0]:
        return text
    *before, thing = told[1].split()
    return " ".join(["exactly", NUMBERS[number], *before, as_many(thing, number)])
