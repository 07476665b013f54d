"""The first node of a conversation's turn: parse the message, keep the dialogue state, reset the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig

from imagescope_agent.common.visible_text import said
from imagescope_agent.errors import BadInput, shorten
from imagescope_agent.nodes.begin import check_query, find_reference
from imagescope_agent.records import ResultDict
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.state import (
    KEPT,
    OF_TOPIC,
    Feedback,
    MessagePart,
    State,
    new_conversation,
    new_turn,
    overwrite,
)

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
_UNSURE = re.compile(r"\W*(?:i\s+)?(?:skip|don'?t\s+know|do\s+not\s+know|no\s+idea|not\s+sure)\W*", re.I)
_PLAIN = re.compile(r"\W*(?:(yes|yeah|yep|yup|sure)|(no|nope|nah))\W*(?:please\W*)?", re.I)


#: Keys of a turn that stand until a message changes what is wanted.
FOUND = tuple(
    name
    for name in new_turn()
    if name not in ("reference_caption", "intent", "acts", "remarks", "notes", "usage")
)
PARSED = "parsed_message"  # key of `configurable` for a message that the caller has checked already


@dataclass(frozen=True, kw_only=True)
class ParsedMessage:
    """A message by its parts: the images it likes or rejects, its filter, and the remaining words.

    `where` is None where the standing filter is kept, "" where it is removed.
    """

    words: str
    liked: list[str]
    rejected: list[str]
    where: str | None = None


@dataclass(frozen=True, kw_only=True)
class CheckedMessage:
    """A usable message; the graph checks it again only if it is not the one that it is run with.

    Attributes:
        text: as the user wrote it.
        query: the text as `check_query` gives it.
        reference: the new reference as `find_reference` gives it.
        feedback: a like or rejection given by rank.
        parsed: its parts.
    """

    text: object
    query: str
    reference: str | None
    feedback: Feedback | None
    parsed: ParsedMessage

    def is_of(self, text: object, reference: object, feedback: object) -> bool:
        """Whether this is that input, checked."""
        return (self.text, self.reference, self.feedback) == (text, reference, feedback)


class ParseMessage:
    """Refuse an unusable message, else note what it likes and rejects and start the turn with the standing request."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    async def __call__(self, state: State, config: RunnableConfig) -> dict[str, Any]:
        """Return every key of a turn, empty, and every key of a conversation, as it stands.

        Raises:
            BadInput: see `check_message`.
        """
        standing: Any = {name: state.get(name, empty) for name, empty in new_conversation().items()}
        text, reference, feedback = state.get("query"), state.get("reference"), state.get("feedback")
        message = config.get("configurable", {}).get(PARSED)
        if not isinstance(message, CheckedMessage) or not message.is_of(text, reference, feedback):
            message = check_message(text, reference, standing, self.collection, feedback=feedback)
        parsed = message.parsed
        if message.reference and parsed.words:
            standing.update(begun_anew())
        anchor = message.reference or standing["anchor"]
        changed = anchor != standing["anchor"]
        liked = [name for name in standing["liked"] if name not in parsed.rejected]
        rejected = [name for name in standing["rejected"] if name not in parsed.liked]
        told = bool(parsed.liked or parsed.rejected or parsed.where is not None)
        searched_anew = bool(message.reference or told)
        return {
            **overwrite({**new_turn(), **({} if searched_anew else found_so_far(state))}),
            "acts": known_acts(message, told=told),
            **{name: standing[name] for name in KEPT},
            "feedback": None,
            "message": message.query,
            "query": parsed.words or standing["request"],
            "reference": anchor,
            "where": standing["where"] if parsed.where is None else parsed.where,
            "request": standing["request"] or parsed.words,
            "anchor": anchor,
            "reference_caption": "" if changed else standing["reference_caption"],
            "offset": 0 if searched_anew else standing["offset"],
            "liked": list(dict.fromkeys([*liked, *parsed.liked])),
            "rejected": list(dict.fromkeys([*rejected, *parsed.rejected])),
        }


def known_acts(message: CheckedMessage, *, told: bool) -> list[MessagePart]:
    """The acts of a message that no model must read: "like this" beside a picture, and one without words."""
    if message.reference and _SAME.fullmatch(message.parsed.words):
        return [{"text": message.parsed.words, "act": "aside"}]
    return [] if message.parsed.words or told else [{"text": message.query, "act": "skip"}]


def found_so_far(state: State) -> dict[str, Any]:
    """What the turn before found, which stands until the message is known to change what is wanted."""
    empty = new_turn()
    return {name: state.get(name, empty[name]) for name in FOUND}


def check_message(
    text: object,
    reference: object,
    state: State,
    collection: Collection,
    *,
    feedback: Feedback | None = None,
    where: str = "",
) -> CheckedMessage:
    """Check a message and resolve its reference.

    Args:
        text: what the user wrote.
        reference: a new reference image, None for none.
        state: the conversation so far; ranks refer to its last results.
        collection: the images; where it takes files, the reference may be another one.
        feedback: a like or rejection given by rank; the text is then shown and not parsed.
        where: the filter of the turn's settings.

    Raises:
        BadInput: no, too long or invalid text; an unknown command; a rank that was not shown; a reference that
            is not there or is no image; a filter that cannot be used.
    """
    query, shown = check_query(text), state.get("results", [])
    if feedback is not None:
        parsed = apply_feedback(feedback, shown)
    elif reference is not None and not query.startswith("/"):
        parsed = beside_picture(query)
    else:
        parsed = read_message(query, shown)
    for each in filter(None, (where, parsed.where)):
        collection.matching(each)
    found = check_reference(reference, collection)
    if not parsed.words and not state.get("request"):
        raise BadInput("nothing is looked for yet; say what to look for")
    return CheckedMessage(text=text, query=query, reference=found, feedback=feedback, parsed=parsed)


def check_reference(reference: object, collection: Collection) -> str | None:
    """The reference as `find_reference` gives it, where a model can be shown it.

    Raises:
        BadInput: it is not there, or is no image.
    """
    found = find_reference(reference, collection)
    if found is not None and found not in collection:
        collection.reference(found)
    return found


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


def plain_answer(text: str) -> str | None:
    """ "Yes" or "No" where the message is nothing else; else None."""
    match = _PLAIN.fullmatch(text)
    return None if match is None else "Yes" if match[1] else "No"


def answers_only(text: str) -> bool:
    """Whether a message is a command, or no more than yes, no or "skip"."""
    command = any(pattern.fullmatch(text) for pattern in (_LIKE, _REJECT, _WHERE, _UNSURE))
    return command or plain_answer(text) is not None


def begun_anew() -> dict[str, Any]:
    """What a picture with words resets: they say how the wanted image differs from it, not from what was looked for.

    What was rejected stays so.
    """
    reset = {*OF_TOPIC, "request", "intent", "facts"} - {"rejected"}
    return {name: value for name, value in new_conversation().items() if name in reset}


def has_words(state: State) -> bool:
    """Whether the turn's message has words that a model must interpret."""
    return state["query"] != state["request"] or is_first(state)


def is_first(state: State) -> bool:
    """Whether there is no intent yet."""
    return not state["intent"]["full"]


def _rest(text: str) -> str:
    return re.sub(r"^but\s+", "", text.strip(), flags=re.I)


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
