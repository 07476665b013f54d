"""The words of a message that no model must read: likes, rejections, filters, yes, no and "skip"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imagescope_agent.common.visible_text import said
from imagescope_agent.errors import BadInput, shorten
from imagescope_agent.records import ResultDict
from imagescope_agent.state import Feedback

_NUMBERED = r"(?:(?:number|no\.?|image|picture)\s*)?#?(\d{1,9})"
_REST = r"(?:\s*$|\s*[.,;:!]+\s*|\s+(?=but\b|with\b|and\b))(.*)$"
_LIKE = re.compile(rf"/?(?:i\s+)?like\s+(?:{_NUMBERED}|(?:that|this)(?:\s+one)?){_REST}", re.I | re.S)
_REJECT = re.compile(rf"/?(?:reject|not)\s+(?:{_NUMBERED}|(?:that|this)(?:\s+one)?){_REST}", re.I | re.S)
_WHERE = re.compile(r"/where\b[ \t]*([^\n]*)(?:\n(.*))?", re.I | re.S)
#: A message beside a picture that says nothing but that it is the picture that is meant.
_SAME = re.compile(
    r"\W*(?:(?:one|some|something|more|others|pictures?|images?|photos?|just|exactly|the same)\s+)*"
    r"(?:like|as|similar to)\s+(?:this|that|these|it|the (?:picture|image|photo))"
    r"(?:\s+(?:one|picture|image|photo))?\W*(?:please\W*)?",
    re.I,
)
#: A message beside a picture that says that what is wanted is not like it: "not like this, ...", "nothing like these".
_UNLIKE = re.compile(
    r"\W*(?:please\W+)?(?:(?:but|and)\s+)?"
    r"(?:(?:(?:not|nothing|none|no|no more|anything but|everything but|never)"
    r"|(?:i\s+)?do(?:\s+not|n['’]?t)\s+(?:want|like|need|show(?:\s+me)?)(?:\s+any(?:thing)?)?)\s+"
    r"(?:(?:one|ones|any|anything|something|more|pictures?|images?|photos?)\s+)*(?:like|similar to|resembling)"
    r"|(?:i\s+)?do(?:\s+not|n['’]?t)\s+(?:want|like)|unlike|not(?:\s+as in)?|(?:any|every)thing but|different from"
    r"|other than)\s+"
    r"(?:this|that|these|those|it|them|the (?:picture|image|photo)s?)(?:\s+(?:one|ones|picture|image|photo)s?)?"
    rf"(?:\s+please)?{_REST}",
    re.I | re.S,
)
_UNSURE = re.compile(r"\W*(?:i\s+)?(?:skip|don'?t\s+know|do\s+not\s+know|no\s+idea|not\s+sure)\W*", re.I)
_PLAIN = re.compile(
    r"\W*(?:(yes|yeah|yep|yup|aye|sure|indeed|absolutely|definitely|certainly|of course|that(?:['’]s| is) correct)"
    r"|(no|nope|nah|(?:absolutely|definitely|certainly|of course) not))\W*(?:please\W*)?",
    re.I,
)


@dataclass(frozen=True, kw_only=True)
class ParsedMessage:
    """A message by its parts: the images it likes or rejects, its filter, and the remaining words.

    `where` is None where the standing filter is kept, "" where it is removed.
    """

    words: str
    liked: list[str]
    rejected: list[str]
    where: str | None = None


def apply_feedback(feedback: Feedback, shown: list[ResultDict]) -> ParsedMessage:
    """A like or rejection of the image at a rank of the last results.

    Raises:
        BadInput: it is neither, or the rank was not shown.
    """
    given: Any = feedback  # a client's own, of any type
    kind, rank = (given.get("kind"), given.get("rank")) if isinstance(given, Mapping) else (None, None)
    if kind not in ("like", "reject") or type(rank) is not int:
        raise BadInput(f'the feedback is {shorten(repr(feedback), 60)}; give {{"kind": "like", "rank": 1}}')
    image = _at_rank(rank, shown)
    return ParsedMessage(
        words="", liked=[image] if kind == "like" else [], rejected=[image] if kind == "reject" else []
    )


def read_message(text: str, shown: list[ResultDict]) -> ParsedMessage:
    """Parse "like 3", "reject 2", "not that one, ...", "/where FILTER" (words below it) and "skip" in a message.

    Args:
        text: the message.
        shown: the results that ranks refer to; "that one" is the first.

    Raises:
        BadInput: an unknown command, or a rank that was not shown.
    """
    if match := _LIKE.fullmatch(text):
        return ParsedMessage(words=_rest(match[2]), liked=[_at_rank(_number(match[1]), shown)], rejected=[])
    if match := _REJECT.fullmatch(text):
        return ParsedMessage(words=_rest(match[2]), liked=[], rejected=[_at_rank(_number(match[1]), shown)])
    if match := _WHERE.fullmatch(text):
        return ParsedMessage(words=said(match[2] or ""), liked=[], rejected=[], where=match[1].strip())
    if text.startswith("/"):
        raise BadInput(
            f"there is no command {shorten(text, 40)!r}; there is /like N, /reject N and /where FILTER"
        )
    return ParsedMessage(words="" if _UNSURE.fullmatch(text) else text, liked=[], rejected=[])


def beside_picture(text: str) -> ParsedMessage:
    """The words beside a picture: "like this" is about the picture, and so is the rest of "like this, but ..."."""
    match = _LIKE.fullmatch(text)
    words = (_rest(match[2]) or text) if match and match[1] is None else text
    return ParsedMessage(words=words, liked=[], rejected=[])


def unlike_picture(text: str) -> str | None:
    """What a message says beside that nothing like its picture is wanted; None where it does not say so."""
    match = _UNLIKE.fullmatch(text)
    return None if match is None else _rest(match[1])


def plain_answer(text: str) -> str | None:
    """ "Yes" or "No" where the message is nothing else; else None."""
    match = _PLAIN.fullmatch(text)
    return None if match is None else "Yes" if match[1] else "No"


def names_picture_only(text: str) -> bool:
    """Whether a message beside a picture says nothing but that it is the picture that is meant."""
    return _SAME.fullmatch(text) is not None


def answers_only(text: str) -> bool:
    """Whether a message is a command, or no more than yes, no or "skip"."""
    command = any(pattern.fullmatch(text) for pattern in (_LIKE, _REJECT, _WHERE, _UNSURE))
    return command or plain_answer(text) is not None


def _rest(text: str) -> str:
    return re.sub(r"^but\s+|^please\W*$", "", text.strip(), flags=re.I)


def _number(digits: str | None) -> int | None:
    """The rank that is named; None for "that one", the first that is shown."""
    return None if digits is None else int(digits)


def _at_rank(number: int | None, shown: list[ResultDict]) -> str:
    if not shown:
        raise BadInput("there are no results yet to like or reject; say what to look for")
    ids = {hit["rank"]: str(hit["id"]) for hit in shown}
    number = min(ids) if number is None else number
    if number not in ids:
        least, most = min(ids), max(ids)
        raise BadInput(f"there is no rank {number} in the last results; give a rank from {least} to {most}")
    return ids[number]
