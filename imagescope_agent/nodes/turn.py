"""The first node of every graph: check what was asked and start from a clean board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langgraph.types import Overwrite

from imagescope_agent.collection.index import Collection
from imagescope_agent.errors import BadInput, shorten, suggest
from imagescope_agent.state import Again

MAX_QUERY = 8_000


class Begin:
    """Refuse an unusable query and clear the turn before; verdicts stay, since they hold for any query."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    async def __call__(self, state: Again) -> dict[str, Any]:
        """Return every key of a turn, empty, and the reference as `find_reference` gives it.

        Raises:
            BadInput: an empty or too long query, a reference that is not there, or rejected images that are no list.
        """
        check_rejected(state.get("rejected", []))
        return {
            "query": check_query(state.get("query")),
            "reference": find_reference(state.get("reference"), self.collection),
            "reference_caption": "",
            "intent": {"steps": [], "core": "", "enhanced": "", "full": ""},
            "candidates": [],
            "predicates": [],
            "reflections": 0,
            "matches": {},
            "judgement": {"order": [], "scores": {}, "reasons": {}},
            "ranking_retrieve": [],
            "ranking_verify": [],
            "ranking": [],
            "results": [],
            "notes": Overwrite([]),
            "usage": Overwrite([]),
        }


def check_query(text: object) -> str:
    """The query without the space around it.

    Raises:
        BadInput: it is no valid text, empty, or longer than `MAX_QUERY` characters.
    """
    if not isinstance(text, str):
        raise BadInput(f"the query is {type(text).__name__}, not text; say what to look for")
    if not text.strip():
        raise BadInput("the query is empty; say what to look for")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadInput(
            f"the query is not valid UTF-8 text at character {error.start + 1}; type it anew"
        ) from error
    if len(text) > MAX_QUERY:
        raise BadInput(f"the query has {len(text)} characters; say it in at most {MAX_QUERY}")
    return text.strip()


def check_rejected(ids: object) -> None:
    """Make sure that ids are a list of texts.

    Raises:
        BadInput: they are not.
    """
    if not isinstance(ids, list | tuple) or not all(isinstance(name, str) for name in ids):
        raise BadInput(f"rejected is {shorten(repr(ids), 60)}; give a list of ids of the collection")


def find_reference(reference: object, collection: Collection) -> str | None:
    """The reference as an id of the collection or, where that takes files, the absolute path of another picture.

    Raises:
        BadInput: it is neither; similar ids are suggested.
    """
    if reference is None:
        return None
    name = str(reference)
    if name in collection:
        return name
    if not collection.takes_files:
        raise BadInput(
            f"there is no image {shorten(name)!r} in the collection; {suggest(name, collection.ids)}"
        )
    try:
        path = Path(name).expanduser().resolve()
        found = path.is_file()
    except (OSError, ValueError, RuntimeError):
        found = False  # no usable path at all, so it can only be a misspelt id
    if not found:
        raise BadInput(
            f"there is no reference image {shorten(name)!r}: give an id of the collection or a file; "
            f"{suggest(name, collection.ids)}"
        )
    root = collection.folder.resolve()
    inner = path.relative_to(root).as_posix() if path.is_relative_to(root) else ""
    return inner if inner in collection else str(path)
