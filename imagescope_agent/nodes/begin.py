"""The first node of every graph: validate the input and reset the state of the turn."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

from imagescope_agent.common.untrusted import real_path
from imagescope_agent.errors import BadInput, shorten, suggest
from imagescope_agent.retrieval.images import digest
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.state import RepeatedSearchInput, new_turn, overwrite, said

MAX_QUERY = 8_000


class Begin:
    """Validates query and reference, and resets the keys of a turn; verdicts stay, since they hold for any query."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    async def __call__(self, state: RepeatedSearchInput) -> dict[str, Any]:
        """Return every key of a turn, empty, and the reference as `find_reference` gives it.

        Raises:
            BadInput: an empty or too long query, a reference that is not there, or rejected images that are no list.
        """
        check_rejected(state.get("rejected", []))
        return {
            **overwrite(new_turn()),
            "query": check_query(state.get("query")),
            "reference": find_reference(state.get("reference"), self.collection),
        }


def check_query(text: object) -> str:
    """The query without whitespace and zero-width characters around it.

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
    """Make sure that ids are a list of strings.

    Raises:
        BadInput: they are not.
    """
    if not isinstance(ids, list | tuple) or not all(isinstance(name, str) for name in ids):
        raise BadInput(f"rejected is {shorten(repr(ids), 60)}; give a list of ids of the collection")


def find_reference(reference: object, collection: Collection) -> str | None:
    """The reference as an id of the collection or, where that takes files, as an absolute path.

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
    root = real_path(collection.folder)
    inner = path.relative_to(root).as_posix() if path.is_relative_to(root) else ""
    return collection.named(inner) or collection.id_of(digest(path)) or str(path)


def _file(name: str) -> Path | None:
    """The file of this name, in whatever Unicode form it is written on the disk."""
    for form in dict.fromkeys((name, *(unicodedata.normalize(each, name) for each in ("NFC", "NFD")))):
        try:
            path = real_path(Path(form).expanduser())
            if path.is_file():
                return path
        except (OSError, ValueError, RuntimeError):
            continue  # no usable path at all, so it can only be a misspelt id
    return None
