"""The pictures that a query brings: references by number, and pictures of what is not wanted."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from imagescope_agent.common.untrusted import real_path
from imagescope_agent.errors import BadInput, shorten, suggest
from imagescope_agent.nodes.intent.said_references import absent_references
from imagescope_agent.records import NoteDict, note
from imagescope_agent.retrieval.images import ImageProblem, digest
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.state import Predicate, references_of

MOST = 16  # references of a query, and pictures that it excludes
MARK = 12  # hexadecimal digits of a content in the mark of a reference
STEP = "begin"
_MARKED = " (reference {}: "


def find_pictures(given: Mapping[str, Any], collection: Collection) -> tuple[dict[str, Any], list[NoteDict]]:
    """Resolve `reference`, `references` and `unlike` of an input; the same keys for the state, and notes.

    `references` are all of them where there are several, and `reference` is the first. One picture given twice keeps
    both numbers. One that is wanted and excluded stays a reference, and its likeness counts against nobody.

    Raises:
        BadInput: one is not there, no list where there should be one, or more than `MOST`.
    """
    references = [find_picture(each, collection) for each in named_references(given)]
    unlike = list(
        dict.fromkeys(find_picture(each, collection) for each in names(given.get("unlike"), "unlike"))
    )
    keys = content_keys(references, collection)
    both = wanted_and_excluded(references, unlike, collection)
    found = {
        "reference": references[0] if references else None,
        "references": references if len(references) > 1 else [],
        "unlike": [name for name in unlike if name not in both],
    }
    notes = [
        note(
            STEP, "skipped", f"reference {place + 1} is reference {keys.index(key) + 1} again and counts once"
        )
        for place, key in enumerate(keys)
        if keys.index(key) < place
    ]
    return found, [*notes, *both.values()]


def wanted_and_excluded(
    references: Sequence[str], unlike: Sequence[str], collection: Collection
) -> dict[str, NoteDict]:
    """The excluded pictures whose content is that of a reference, each with a note."""

    def key(name: str) -> str:
        try:
            return content_key(name, collection)
        except ImageProblem:  # gone since; who needs the picture says so
            return name

    keys = {key(each) for each in references} if unlike else set()
    return {
        name: note(STEP, "contradiction", f"{name!r} is a reference and excluded; it stays a reference")
        for name in (unlike if keys else ())
        if key(name) in keys
    }


def absent(query: str, pictures: Mapping[str, Any]) -> list[NoteDict]:
    """A note where a query names the number of a reference that it does not have, of those `find_pictures` found."""
    references = references_of(pictures)  # type: ignore[arg-type]
    numbers = ", ".join(map(str, absent_references(query, len(references))))
    there = f"there {'is' if len(references) == 1 else 'are'} {len(references) or 'none'}"
    return [note(STEP, "unchecked", f"the query names reference {numbers}, and {there}")] if numbers else []


def brought(
    reference: str | None, references: object, unlike: object, collection: Collection
) -> tuple[dict[str, Any], list[NoteDict]]:
    """As `find_pictures`, of a message whose `reference` is resolved already.

    Raises:
        BadInput: see `find_pictures`.
    """
    if not references and not unlike:
        return {"reference": reference, "references": [], "unlike": []}, []
    first = {} if references else {"reference": reference}
    return find_pictures({**first, "references": references, "unlike": unlike}, collection)


def named_references(given: Mapping[str, Any]) -> list[Any]:
    """The references of an input, unresolved.

    An input that names another `reference` than the first of `references`, as of an earlier run on the same thread,
    has that one only.

    Raises:
        BadInput: `references` is no list of names, or too long.
    """
    several, first = names(given.get("references"), "references"), given.get("reference")
    if several and first in (None, several[0]):
        return several
    return [] if first is None else [first]


def names(value: object, what: str) -> list[str]:
    """A list of names, as it was given.

    Raises:
        BadInput: it is no list of strings, or has more than `MOST`.
    """
    if value is None:
        return []
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise BadInput(f"{what} is {shorten(repr(value), 60)}; give a list of ids or files")
    if len(value) > MOST:
        raise BadInput(f"there are {len(value)} pictures in {what}; give at most {MOST}")
    return list(value)


def content_key(name: str, collection: Collection) -> str:
    """What is equal for pictures of equal content: the sha256 of the file.

    Raises:
        ImageProblem: it is no usable image.
    """
    return collection.key(name) if name in collection else collection.reference(name).key


def content_keys(references: Sequence[str], collection: Collection) -> list[str]:
    """`content_key` of several references; the names of one or none, which need no comparison."""
    return [content_key(each, collection) for each in references] if len(references) > 1 else [*references]


def with_mark(predicate: Predicate, references: Sequence[str], collection: Collection | None) -> Predicate:
    """The predicate, whose question is told apart by its reference's number and content.

    Verdicts are kept by question. A file's name is its owner's, so that no part of it is in the mark.
    """
    if (number := predicate.get("reference")) is None:
        return predicate
    asks, name = predicate["question"], references[number - 1]
    try:
        key = content_key(name, collection) if collection else ""
    except ImageProblem:
        key = ""  # the file is gone
    marked = (key or sha256(name.encode("utf-8", "surrogatepass")).hexdigest())[:MARK]
    return {**predicate, "question": f"{asks}{_MARKED.format(number)}{marked})", "asks": asks}


def bare(predicate: Predicate) -> str:
    """The question of a predicate without the mark of its reference; older ones have a name in its place."""
    if (number := predicate.get("reference")) is None:
        return predicate["question"]
    return predicate.get("asks") or predicate["question"].partition(_MARKED.format(number))[0]


def distinct(references: Sequence[str], collection: Collection) -> list[str]:
    """The references without those that are others again, in their order."""
    if len(references) < 2:
        return list(references)
    return list({content_key(name, collection): name for name in reversed(references)}.values())[::-1]


def find_picture(reference: object, collection: Collection) -> str:
    """A picture as an id of the collection or, where that takes files, as an absolute path.

    A file whose content is in the collection is that image, wherever it lies; names are compared in whatever Unicode
    form they are written.

    Raises:
        BadInput: it is neither; similar ids are suggested.
    """
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
