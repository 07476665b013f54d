"""What a message wishes and the request did not take up, so that the answer can say so: no wish is lost silently."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.places import PREPOSITION
from imagescope_agent.nodes.intent.drift import FUNCTION, content_words
from imagescope_agent.state import MessagePart

#: What a message says without naming anything that can be seen: "a bit", "a good idea".
_TALK = content_words(
    "bit lot few couple little while moment second minute thing things chance way must plus shame pity idea thought "
    "guess mistake feeling memory mind favour question answer reason doubt sort case hint detail difference problem "
    "kind time"
)
_NAMED = re.compile(
    r"\b(?:an?|(?:with|without|no|make (?:it|them|that))(?:\s+an?)?)\s+((?:[^\W\d_]+\s*){1,3})", re.I
)


def not_taken_up(acts: Sequence[MessagePart], steps: Sequence[str], known: Sequence[str]) -> list[str]:
    """The parts of a message, or what is named in them, that nothing which was taken up has to do with.

    Args:
        acts: the parts of the message.
        steps: the new instructions; where one says in other words what was said, nothing is missed.
        known: the facts that stand, those that were dropped, and the answered question.
    """
    heard, taken = Grounding([part["text"] for part in acts]), Grounding([*steps, *known])
    if any(map(heard.ungrounded, steps)):
        return []
    missing = list[str]()
    for part in acts:
        if part["act"] not in ("wish", "correction"):
            continue
        words = content_words(part["text"]) - _TALK
        if words and not _is_taken(part["text"], taken):
            missing.append(part["text"])
        else:
            missing += [each for each in named(part["text"]) if not _is_taken(each, taken)]
    return missing


def _is_taken(text: str, taken: Grounding) -> bool:
    return any(not taken.ungrounded(word) for word in Grounding([text]).words)


def named(text: str) -> list[str]:
    """The phrases after an indefinite article, "with", "without", "no" or "make it" that name something."""
    found = list[str]()
    for match in _NAMED.finditer(text):
        words = list[str]()
        for word in match[1].split():
            if word.lower() in FUNCTION | PREPOSITION:
                break
            words.append(word)
        stems = content_words(" ".join(words))
        if stems and not stems <= _TALK and not content_words(words[-1]) <= _TALK:
            found.append(" ".join(words))
    return found
