"""The first node of a conversation's turn: read the commands in a message, keep what was said, clear the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from imagescope_agent.errors import BadInput, shorten
from imagescope_agent.nodes.begin import Begin, check_query, find_reference
from imagescope_agent.records import ResultDict
from imagescope_agent.retrieval.protocols import Collection
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


@dataclass(frozen=True, kw_only=True)
class ParsedMessage:
    """A message taken apart: the images it likes or rejects, and the words that are left."""

    words: str
    liked: list[str]
    rejected: list[str]


class ParseMessage:
    """Refuse an unusable message; else note what it likes and rejects, and start the turn with the standing request."""

    def __init__(self, collection: Collection) -> None:
        self.collection, self.begin = collection, Begin(collection)

    async def __call__(self, state: State) -> dict[str, Any]:
        """Return every key of a turn, empty, and every key of a conversation, as it stands.

        Raises:
            BadInput: see `check_message`.
        """
        standing: Any = {name: state.get(name, empty) for name, empty in NEW.items()}
        given = state.get("reference")
        heard = check_message(state.get("query"), given, standing, self.collection)
        cleared = await self.begin({"query": state["query"], "reference": given})
        anchor = cleared["reference"] or standing["anchor"]
        changed = anchor != standing["anchor"]
        liked = [name for name in standing["liked"] if name not in heard.rejected]
        rejected = [name for name in standing["rejected"] if name not in heard.liked]
        return {
            **cleared,
            **{
                name: standing[name]
                for name in ("schema", "intent", "facts", "pool", "wordings", "asked", "question", "turns")
            },
            "message": cleared["query"],
            "query": heard.words or standing["request"],
            "request": standing["request"] or heard.words,
            "anchor": anchor,
            "reference": anchor,
            "reference_caption": "" if changed else standing["reference_caption"],
            "liked": list(dict.fromkeys([*liked, *heard.liked])),
            "rejected": list(dict.fromkeys([*rejected, *heard.rejected])),
        }


def check_message(text: object, reference: object, state: State, collection: Collection) -> ParsedMessage:
    """The message taken apart, where it can be used.

    Args:
        text: what the user says.
        reference: a new reference image, None for none.
        state: the conversation so far; its last results are what ranks refer to.
        collection: where the reference may lie.

    Raises:
        BadInput: no, too long or invalid text; an unknown command; a rank that was not shown; a reference that
            is not there or is no image.
    """
    heard = read_message(check_query(text), state.get("results", []))
    check_reference(reference, collection)
    if not heard.words and not state.get("request"):
        raise BadInput("nothing is looked for yet; say what to look for")
    return heard


def check_reference(reference: object, collection: Collection) -> str | None:
    """The reference as `find_reference` gives it, where it can be shown to a model.

    Raises:
        BadInput: it is not there, or is no image.
    """
    found = find_reference(reference, collection)
    if found is not None and found not in collection:
        collection.reference(found)
    return found


def read_message(text: str, shown: list[ResultDict]) -> ParsedMessage:
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


def _at_rank(rank: str | None, shown: list[ResultDict]) -> str:
    number = 1 if rank is None else int(rank)
    if not shown:
        raise BadInput("there are no results yet to like or reject; say what to look for")
    if not 1 <= number <= len(shown):
        raise BadInput(f"there is no rank {number} in the last results; give a rank from 1 to {len(shown)}")
    return str(shown[number - 1]["id"])
