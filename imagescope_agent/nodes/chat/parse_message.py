"""The first node of a conversation's turn: read the commands in a message, keep what was said, clear the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig

from imagescope_agent.errors import BadInput, shorten
from imagescope_agent.nodes.begin import check_query, find_reference, new_turn
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.state import State

SCHEMA = 2
NEW: dict[str, Any] = {  # a conversation in which nothing was said
    "schema": SCHEMA,
    "message": "",
    "anchor": None,
    "request": "",
    "reference_caption": "",
    "intent": {"steps": [], "core": "", "enhanced": "", "full": ""},
    "facts": [],
    "liked": [],
    "rejected": [],
    "pool": [],
    "wordings": {},
    "asked": [],
    "question": None,
    "results": [],
    "turns": [],
}

_NUMBERED = r"(?:(?:number|no\.?|image|picture)\s*)?#?(\d{1,9})"
_REST = r"(?:\s*$|\s*[.,;:!]+\s*|\s+(?=but\b|with\b|and\b))(.*)$"
_LIKE = re.compile(rf"/?(?:i\s+)?like\s+(?:{_NUMBERED}|(?:that|this)(?:\s+one)?){_REST}", re.I | re.S)
_REJECT = re.compile(rf"/?(?:reject|not)\s+(?:{_NUMBERED}|(?:that|this)(?:\s+one)?){_REST}", re.I | re.S)
_UNSURE = re.compile(r"\W*(?:i\s+)?(?:skip|don'?t\s+know|do\s+not\s+know|no\s+idea|not\s+sure)\W*", re.I)
_PLAIN = re.compile(r"\W*(?:(yes|yeah|yep|yup|sure)|(no|nope|nah))\W*(?:please\W*)?", re.I)


PARSED = (
    "parsed_message"  # key of `configurable` under which a caller passes a message that is checked already
)


@dataclass(frozen=True, kw_only=True)
class ParsedMessage:
    """A message by its parts: the images it likes or rejects, and the remaining words."""

    words: str
    liked: list[str]
    rejected: list[str]


@dataclass(frozen=True, kw_only=True)
class CheckedMessage:
    """A usable message; the graph checks it again only if it is not the one that it is run with.

    Attributes:
        text: as the user wrote it.
        query: the text as `check_query` gives it.
        reference: the new reference as `find_reference` gives it.
        parsed: its parts.
    """

    text: object
    query: str
    reference: str | None
    parsed: ParsedMessage


class ParseMessage:
    """Refuse an unusable message, else note what it likes and rejects and start the turn with the standing request."""

    def __init__(self, collection: FolderCollection) -> None:
        self.collection = collection

    async def __call__(self, state: State, config: RunnableConfig) -> dict[str, Any]:
        """Return every key of a turn, empty, and every key of a conversation, as it stands.

        Raises:
            BadInput: see `check_message`.
        """
        standing: Any = {name: state.get(name, empty) for name, empty in NEW.items()}
        text, reference = state.get("query"), state.get("reference")
        message = config.get("configurable", {}).get(PARSED)
        if not isinstance(message, CheckedMessage) or (message.text, message.reference) != (text, reference):
            message = check_message(text, reference, standing, self.collection)
        parsed = message.parsed
        anchor = message.reference or standing["anchor"]
        changed = anchor != standing["anchor"]
        liked = [name for name in standing["liked"] if name not in parsed.rejected]
        rejected = [name for name in standing["rejected"] if name not in parsed.liked]
        return {
            **new_turn(parsed.words or standing["request"], anchor),
            **{
                name: standing[name]
                for name in ("schema", "intent", "facts", "pool", "wordings", "asked", "question", "turns")
            },
            "message": message.query,
            "request": standing["request"] or parsed.words,
            "anchor": anchor,
            "reference_caption": "" if changed else standing["reference_caption"],
            "liked": list(dict.fromkeys([*liked, *parsed.liked])),
            "rejected": list(dict.fromkeys([*rejected, *parsed.rejected])),
        }


def check_message(
    text: object, reference: object, state: State, collection: FolderCollection
) -> CheckedMessage:
    """Check a message and resolve its reference.

    Args:
        text: what the user wrote.
        reference: a new reference image, None for none.
        state: the conversation so far; ranks refer to its last results.
        collection: the images; where it takes files, the reference may be another one.

    Raises:
        BadInput: no, too long or invalid text; an unknown command; a rank that was not shown; a reference that
            is not there or is no image.
    """
    query = check_query(text)
    parsed = read_message(query, state.get("results", []))
    found = check_reference(reference, collection)
    if not parsed.words and not state.get("request"):
        raise BadInput("nothing is looked for yet; say what to look for")
    return CheckedMessage(text=text, query=query, reference=found, parsed=parsed)


def check_reference(reference: object, collection: FolderCollection) -> str | None:
    """The reference as `find_reference` gives it, where a model can be shown it.

    Raises:
        BadInput: it is not there, or is no image.
    """
    found = find_reference(reference, collection)
    if found is not None and found not in collection:
        collection.reference(found)
    return found


def read_message(text: str, shown: list[dict[str, Any]]) -> ParsedMessage:
    """Take "like 3", "reject 2", "not that one, ..." and "skip" out of a message.

    Args:
        text: the message.
        shown: the results that ranks refer to; "that one" is the first.

    Raises:
        BadInput: an unknown command, or a rank that was not shown.
    """
    if match := _LIKE.fullmatch(text):
        return ParsedMessage(words=_rest(match[2]), liked=[_at_rank(match[1], shown)], rejected=[])
    if match := _REJECT.fullmatch(text):
        return ParsedMessage(words=_rest(match[2]), liked=[], rejected=[_at_rank(match[1], shown)])
    if text.startswith("/"):
        raise BadInput(f"there is no command {shorten(text, 40)!r}; there is /like N and /reject N")
    return ParsedMessage(words="" if _UNSURE.fullmatch(text) else text, liked=[], rejected=[])


def plain_answer(text: str) -> str | None:
    """ "Yes" or "No" where the whole message says nothing else."""
    match = _PLAIN.fullmatch(text)
    return None if match is None else "Yes" if match[1] else "No"


def has_words(state: State) -> bool:
    """Whether the turn's message says anything that a model must read."""
    return state["query"] != state["request"] or not state["turns"]


def is_first(state: State) -> bool:
    """Whether nothing was understood before."""
    return not state["intent"]["full"]


def _rest(text: str) -> str:
    return re.sub(r"^but\s+", "", text.strip(), flags=re.I)


def _at_rank(rank: str | None, shown: list[dict[str, Any]]) -> str:
    number = 1 if rank is None else int(rank)
    if not shown:
        raise BadInput("there are no results yet to like or reject; say what to look for")
    if not 1 <= number <= len(shown):
        raise BadInput(f"there is no rank {number} in the last results; give a rank from 1 to {len(shown)}")
    return str(shown[number - 1]["id"])
