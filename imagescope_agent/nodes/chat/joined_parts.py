"""Parts of a message that only say something together with the one behind them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imagescope_agent.dialogue_acts import SAYING
from imagescope_agent.nodes.chat.language.coverage import phrases
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.state import MessagePart

_BACK = re.compile(r"\b(?:it|that|this|them|those|one)\b", re.I)  # what was named before
_BROKEN_OFF = re.compile(r"(?:\.\.+|\u2026|\s-)$")


def joined(acts: Sequence[MessagePart], message: str, vocabulary: Vocabulary) -> list[MessagePart]:
    """The acts, with what a part has of the one behind it: what is broken off and then passed over says nothing.

    "The boat was a bad idea, forget it" takes back the boat, and "what I cannot have: boats" is one part and no aside.
    """
    found, heard = list[MessagePart](), {*SAYING, "restart"}
    for part in reversed(acts):
        text, act = part["text"], part["act"]
        after = found[0] if found else None
        if after and _BROKEN_OFF.search(text) and is_passed_over(after, vocabulary):
            act = after["act"] = "skip"  # "the tree had ... well, never mind"
        elif after and after["act"] == "withdrawal" and points_back(after["text"], vocabulary):
            act = "withdrawal" if phrases(text, vocabulary) else act
        elif after and after["act"] in ("wish", "correction") and act not in heard and f"{text}:" in message:
            text, act = f"{text}: {found.pop(0)['text']}", after["act"]
        found.insert(0, {"text": text, "act": act})
    return found


def is_passed_over(after: MessagePart, vocabulary: Vocabulary) -> bool:
    """Whether what stands behind a broken-off sentence takes it back, and nothing else."""
    return after["act"] in ("skip", "withdrawal") and not phrases(after["text"], vocabulary)


def points_back(text: str, vocabulary: Vocabulary) -> bool:
    """Whether a part names nothing but what was named before it."""
    return bool(_BACK.search(text)) and not phrases(text, vocabulary)
