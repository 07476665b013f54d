"""Dialogue acts: what a part of a user's message does, and how a message is split into parts."""

from __future__ import annotations

import re
from typing import Literal, get_args

Act = Literal[
    "answer", "wish", "correction", "withdrawal", "skip", "more", "aside", "unclear", "filter", "restart"
]
#: In the order of their labels: A is an answer, B a wish, ...; "I" is a word of most messages.
ACTS: tuple[Act, ...] = get_args(Act)
LABELS: tuple[str, ...] = tuple("ABCDEFGHJK")
#: Acts that say what the wanted picture is like; a new start says that nothing said before does.
SAYING: frozenset[str] = frozenset({"answer", "wish", "correction", "withdrawal"})
MAX_PARTS = 6

#: Where a part ends; behind "and", where the next one asks to search or to show.
_END = re.compile(
    r"(?<![.!?;:])[.!?;:]++(?=\s)|\n+|(?<!\s)\s++[-\u2013\u2014]\s++|,(?=\s)"
    r"|(?<!\s)\s++and(?=\s+(?:now\s+)?(?:find|look|search|hunt|show|get|give)\b)",
    re.I,
)
#: "the boat: red", "about the boat: forget it": what is said of a thing behind a colon is one part with it.
_TOPIC = re.compile(
    r"(?:(?:on|about|for|as for|regarding|concerning|with)\s+)?(?:the|that|this|my|its)\s+\w+(?:\s+\w+)?",
    re.I,
)
_YES_NO = re.compile(r"(?:is|are|was|were|do|does|did|has|have|had|can|could|should|must)\b", re.I)
_MARKS = " \t\r\n,;:-\u2013\u2014"
_CLAUSE = 3  # words of a clause that is read by itself; fewer beside a comma belong to what is beside them
_REPLY = 14  # words that answer a question which stands before them in the same message


def is_yes_no(question: str) -> bool:
    """Whether a question is one of yes or no."""
    return _YES_NO.match(question) is not None


def split_message(message: str) -> list[str]:
    """The sentences and longer clauses of a message, at most `MAX_PARTS`; the last part is all that is left.

    A question with its answer ("is there a cat? no") is one part.
    """
    parts: list[str] = []
    start = 0
    for match in _END.finditer(message):
        ends = match.start() if match[0].strip().isalpha() else match.end()  # "and" belongs to no part
        part, rest = message[start:ends].strip(_MARKS), message[match.end() :]
        if ":" in match[0] and _TOPIC.fullmatch(part):
            continue
        short = min(len(part.split()), len(rest.split(None, _CLAUSE))) < _CLAUSE
        if ("?" in match[0] and len(rest.split(None, _REPLY)) <= _REPLY) or (
            match[0].strip().lower() in (",", "and") and short
        ):
            continue
        if re.search(r"\w", part) and len(parts) < MAX_PARTS - 1:
            parts.append(part)
            start = match.end()
    last = message[start:].strip(_MARKS)
    if last and (re.search(r"\w", last) or not parts):
        parts.append(last)
    return parts or [message]
