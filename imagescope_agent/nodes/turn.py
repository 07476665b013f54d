"""The first node of every graph: check what was asked and start from a clean board."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

from langgraph.types import Overwrite

from imagescope_agent.collection.images import digest
from imagescope_agent.collection.index import Collection
from imagescope_agent.errors import BadInput, shorten, suggest
from imagescope_agent.state import Again, said

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
            "unverified": {},
            "judgement": {"order": [], "scores": {}, "reasons": {}},
            "ranking_retrieve": [],
            "ranking_verify": [],
            "ranking": [],
            "results": [],
            "notes": Overwrite([]),
            "usage": Overwrite([]),
        }


def check_query(text: object) -> str:
    """The query without the space, and what takes no space, around it.

    Raises:
        BadInput: it is no valid text, says nothing, or is longer than `MAX_QUERY` characters.
    """
    if not isinstance(text, str):
        raise BadInput(f"the query is {type(text).__name__}, not text; say what to look for")
    if not said(text):
        raise BadInput("the query is empty; say what to look for")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadInput(
            f"the query is not valid UTF-8 text at character {error.start + 1}; type it anew"
        ) from error
    if len(text) > MAX_QUERY:
        raise BadInput(f"the query has {len(text)} characters; say it in at most {MAX_QUERY}")
    return said(text)


def check_rejected(ids: object) -> None:
    """Make sure that ids are a list of texts.

    Raises:
        BadInput: they are not.
    """
    if not isinstance(ids, list | tuple) or not all(isinstance(name, str) for name in ids):
        raise BadInput(f"rejected is {shorten(repr(ids), 60)}; give a list of ids of the collection")


def find_reference(reference: object, collection: Collection) -> str | None:
    """The reference as an id of the collection or, where that takes files, the absolute path of another picture.

    A file whose content is in the collection is that image, wherever it lies; names are compared in whatever Unicode
    form they are written.

    Raises:
        BadInput: it is neither; similar ids are suggested.
    """
    if reference is None:
        return None
    name = str(reference)
    if (known := collection.named(name)) is not None:
        return known
    if not collection.takes_files:
        raise BadInput(
            f"there is no image {shorten(name)!r} in the collection; {suggest(name, collection.ids)}"
        )
    path = _file(name)
    if path is None:
        raise BadInput(
            f"there is no reference image {shorten(name)!r}: give an id of the collection or a file; "
            f"{suggest(name, collection.ids)}"
        )
    root = collection.folder.resolve()
    inner = path.relative_to(root).as_posix() if path.is_relative_to(root) else ""
    return collection.named(inner) or collection.id_of(digest(path)) or str(path)


def _file(name: str) -> Path | None:
    """The file of this name, in whatever Unicode form it is written on the disk."""
    for form in dict.fromkeys((name, *(unicodedata.normalize(each, name) for each in ("NFC", "NFD")))):
        try:
            path = Path(form).expanduser().resolve()
            if path.is_file():
                return path
        except (OSError, ValueError, RuntimeError):
            continue  # no usable path at all, so it can only be a misspelt id
    return None
