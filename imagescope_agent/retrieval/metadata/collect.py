"""Gather the fields of all indexed images: what their files say, and the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from imagescope_agent.errors import shorten
from imagescope_agent.records import NoteDict, note
from imagescope_agent.retrieval.metadata.exif import FIELDS
from imagescope_agent.retrieval.metadata.fields import ALWAYS
from imagescope_agent.retrieval.metadata.kinds import Kind, Value, normal
from imagescope_agent.retrieval.metadata.own_fields import OwnFields, Typed, read_own_fields, usual_kind
from imagescope_agent.retrieval.metadata.table import Column, column_of

#: Of the file's fields, those that the user may know better.
MAY_REPLACE = frozenset({"date", "camera", "lat", "lon"})


def gather(
    folder: Path, ids: Sequence[str], of_files: Mapping[str, Mapping[str, Value]]
) -> tuple[dict[str, Column], list[NoteDict]]:
    """The columns of an index, and a note for each row or value of the user's that cannot be used.

    Args:
        folder: of the images.
        ids: the images, sorted.
        of_files: by id, what `exif.read_file_fields` found.

    Raises:
        MissingExtra: the user's fields are in a Parquet file and nothing reads it.
    """
    own = read_own_fields(folder, ids)
    columns = {
        name: {image: found[name] for image, found in of_files.items() if name in found} for name in FIELDS
    }
    kinds: dict[str, Kind] = dict(FIELDS)
    for name, values in own.values.items():
        if name in ALWAYS or (name in FIELDS and name not in MAY_REPLACE):
            own.tell(name, "this field is taken from the images themselves; give yours another name")
            continue
        kinds.setdefault(name, usual_kind(values.values()))
        columns.setdefault(name, {}).update(_of_kind(name, kinds[name], values, own))
    built = {
        name: column_of(kinds[name], [values.get(each) for each in ids]) for name, values in columns.items()
    }
    return built, _notes(own)


def _of_kind(name: str, kind: Kind, values: Mapping[str, Typed], own: OwnFields) -> dict[str, Value]:
    """The values of a field's kind; what was written as text is text where the field is."""
    found: dict[str, Value] = {}
    for image, (given, value, written) in values.items():
        if given == kind:
            found[image] = value
        elif kind == "text" and written is not None:
            found[image] = normal(written)
        else:
            said = shorten(repr(value if written is None else written), 40)
            own.tell(image, f"{name} is {said}, a {given} where a {kind} should be")
    return found


def _notes(own: OwnFields) -> list[NoteDict]:
    notes = [note("index", "skipped", f"metadata: {problem}") for problem in own.problems]
    if own.untold:
        notes.append(note("index", "skipped", f"metadata: and {own.untold} more that cannot be used"))
    return notes
