"""The fields of an opened collection, and which images a filter matches."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from imagescope_agent.errors import BadInput, shorten, suggest
from imagescope_agent.retrieval.metadata import exif
from imagescope_agent.retrieval.metadata.conditions import Condition, conditions_of
from imagescope_agent.retrieval.metadata.kinds import Kind, normal
from imagescope_agent.retrieval.metadata.mask import Mask, mask_of
from imagescope_agent.retrieval.metadata.table import Column, FieldTable, column_of
from imagescope_agent.retrieval.metadata.where import parse_where

#: Fields of every index, from the ids and captions.
ALWAYS: dict[str, Kind] = {"id": "text", "folder": "text", "name": "text", "caption": "text"}
_PLAIN = re.compile(r"[^\W\d][\w.]*")  # names that a filter needs not put in backticks
SHOWN_WORDS = 12  # values of a text that a model is shown
KEPT_MASKS = 16  # filters of which the images are remembered: those of a conversation's turns are the same


class Fields:
    """The fields of a collection's images.

    Args:
        folder: of the images, for messages.
        ids: the images, sorted.
        captions: by id.
        table: what the index keeps; None in an index of before, which has the fields of `ALWAYS` alone.

    Attributes:
        kinds: of every field.
    """

    def __init__(
        self, folder: Path, ids: Sequence[str], captions: Mapping[str, str], table: FieldTable | None
    ) -> None:
        self._folder, self._ids, self._captions, self._table = folder, ids, captions, table
        self.kinds: dict[str, Kind] = {**ALWAYS, **(table.kinds if table else {})}
        self._own: dict[str, Column] = {}
        self._masks: LRUCache[str, Mask] = LRUCache(KEPT_MASKS)
        self._lock = threading.Lock()

    def matching(self, where: str) -> Mask:
        """Whether each image matches a filter: (n,) bool, in order of ids; not to be written to.

        Raises:
            BadInput: it is no filter, or names a field or a comparison that there is not.
            MissingExtra: the parser of filters is not installed.
        """
        with self._lock:
            found = self._masks.get(where)
            if found is None:
                found = mask_of(parse_where(where), self)
                found.setflags(write=False)
                self._masks[where] = found
        return found

    def conditions(self, where: str, kept: Sequence[str]) -> Condition | None:
        """A filter as conditions on the columns that a database keeps; None where it cannot be asked them.

        Raises:
            BadInput, MissingExtra: as `matching`.
        """
        return conditions_of(parse_where(where), self, kept)

    def column(self, name: str) -> Column:
        """The column of a field.

        Raises:
            BadInput: there is none; names those that there are.
        """
        if name in ALWAYS:
            if (found := self._own.get(name)) is None:
                # captions are in order of the ids, and read at once
                texts = (
                    self._captions.values()
                    if name == "caption"
                    else (_part(each, name) for each in self._ids)
                )
                whole = [normal(text) if text or name != "caption" else None for text in texts]
                found = column_of("text", whole)
                self._own[name] = found
            return found
        if name not in self.kinds or self._table is None:
            raise self._unknown(name)
        return self._table.column(name)

    def captions_changed(self) -> None:
        """Forget what was made of the captions; they may be added while the collection is open."""
        with self._lock:
            self._own.pop("caption", None)
            self._masks.clear()

    def of(self, row: int) -> dict[str, Any]:
        """What the index keeps of one image, as JSON values; missing fields are left out."""
        if self._table is None:
            return {}
        values = {name: self._table.column(name).value(row) for name in self._table.kinds}
        return {name: value for name, value in values.items() if value is not None}

    def describe(self) -> dict[str, str]:
        """What a filter may name, in words for a model: each field that says something of some image.

        None where the images have neither dates nor cameras nor places nor fields of the user's.
        """
        told = {name for name in (self._table.kinds if self._table else ()) if name not in exif.MEASURES}
        known = [name for name in sorted(told) if self.column(name).known.any()]
        if known and len(self.column("folder").words) > 1:
            known.append("folder")
        return {name if _PLAIN.fullmatch(name) else f"`{name}`": _range(self.column(name)) for name in known}

    def _unknown(self, name: str) -> BadInput:
        if self._table is None:
            which = "has no" if name in exif.FIELDS else "may have a"
            return BadInput(
                f"the index {which} field {name!r}: it was made before fields were kept; "
                f"run `imagescope index {self._folder}` to add them (known now: {', '.join(self.kinds)})"
            )
        return BadInput(
            f"there is no field {name!r}; {suggest(name, self.kinds)} (own fields stand in metadata.jsonl, "
            "metadata.csv or metadata.parquet beside the images)"
        )


def _range(column: Column) -> str:
    """The kind of a field and what its values are like."""
    if column.kind in ("text", "list"):
        said = ", ".join(repr(shorten(word, 40)) for word in column.words[:SHOWN_WORDS])
        return f"{column.kind}, such as {said}"
    if column.kind == "boolean":
        return "true or false"
    rows = np.flatnonzero(column.known)
    first, last = (rows[pick(column.values[rows])] for pick in (np.argmin, np.argmax))
    return f"{column.kind}, from {column.value(first)} to {column.value(last)}"


def _part(image: str, name: str) -> str:
    """The field of `ALWAYS` of an image; the folder of an image that lies in none is ""."""
    folder, _, file = image.rpartition("/")
    return {"id": image, "folder": folder, "name": file}[name]


def rows_once(groups: npt.NDArray[np.int64], allowed: Mask) -> Mask:
    """Of the allowed rows of one content only the first: (n,) bool.

    Args:
        groups: (n,) the same number for the same content.
        allowed: (n,) bool.
    """
    rows = np.flatnonzero(allowed)
    _, firsts = np.unique(groups[rows], return_index=True)
    once = np.zeros(len(allowed), dtype=bool)
    once[rows[firsts]] = True
    return once
