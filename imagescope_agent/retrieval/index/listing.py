"""What an opened collection knows of its images: captions, contents and copies; nothing is counted through at start."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSet, Sequence, Set
from functools import cached_property

import numpy as np
import numpy.typing as npt

from imagescope_agent.retrieval.index.entries import Entry, EntryTable
from imagescope_agent.retrieval.stores.rows import rows_by_id


class Listing:
    """The images of a collection.

    Args:
        entries: sorted by id; those of a large collection are an `EntryTable`.

    Attributes:
        ids: the images, sorted.
        rows: row by id.
        captions: by id, "" where there is none; may be added to.
        uncaptioned: the images whose caption was not asked for yet; may be taken from.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.ids: Sequence[str] = tuple(entry.id for entry in entries)
        self.rows = rows_by_id(self.ids)
        self.captions: MutableMapping[str, str] = {entry.id: entry.caption or "" for entry in entries}
        self.uncaptioned: MutableSet[str] = {entry.id for entry in entries if entry.caption is None}
        self._keys = {entry.id: entry.key for entry in entries}

    def named(self, name: str) -> str | None:
        """The id of a name in whatever Unicode form; None where there is none."""
        return name if name in self.rows else self._ids_by_form.get(unicodedata.normalize("NFC", name))

    def key(self, name: str) -> str:
        """The content of an id."""
        return self._keys[name]

    def of_key(self, key: str) -> tuple[str, ...]:
        """The ids of a content, in order."""
        return self._ids_of.get(key, ())

    @cached_property
    def repeated(self) -> Set[str]:
        """Ids whose content is that of an earlier one."""
        return {name for names in self._ids_of.values() for name in names[1:]}

    @cached_property
    def contents(self) -> npt.NDArray[np.int64]:
        """The same number for images of the same content: (n,)."""
        numbers = {key: number for number, key in enumerate(self._ids_of)}
        return np.array([numbers[self._keys[name]] for name in self.ids], dtype=np.int64)

    @cached_property
    def _ids_by_form(self) -> Mapping[str, str]:
        return {unicodedata.normalize("NFC", name): name for name in reversed(self.ids)}

    @cached_property
    def _ids_of(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for name in self.ids:
            found.setdefault(self._keys[name], []).append(name)
        return {key: tuple(names) for key, names in found.items()}


class TableListing(Listing):
    """A `Listing` of a table that is mapped into memory: each image is read when it is asked for."""

    def __init__(self, table: EntryTable) -> None:
        self._table, self.ids, self.rows = table, table.ids, table.ids.rows
        self.captions = _Captions(table)
        self.uncaptioned = _Rows(self.ids, self.rows, ~table.asked)

    def named(self, name: str) -> str | None:
        """As `Listing.named`; a name of ASCII has one form."""
        return (name if name in self.rows else None) if name.isascii() else super().named(name)

    def key(self, name: str) -> str:
        """As `Listing.key`."""
        return self._table.key(self.rows[name])

    def of_key(self, key: str) -> tuple[str, ...]:
        """As `Listing.of_key`."""
        return tuple(self.ids[row] for row in self._table.rows_of_key(key).tolist())

    @cached_property
    def repeated(self) -> Set[str]:
        """As `Listing.repeated`."""
        firsts = self.contents
        return {self.ids[row] for row in np.flatnonzero(firsts != np.arange(len(firsts))).tolist()}

    @cached_property
    def contents(self) -> npt.NDArray[np.int64]:
        """As `Listing.contents`."""
        return self._table.firsts.astype(np.int64)


class _Captions(MutableMapping[str, str]):
    """The captions of a table, "" where there is none, and those that were added since."""

    def __init__(self, table: EntryTable) -> None:
        self._table, self._rows = table, table.ids.rows
        self._added: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        found = self._added.get(name)
        return (self._table.caption(self._rows[name]) or "") if found is None else found

    def __setitem__(self, name: str, caption: str) -> None:
        self._added[name] = caption

    def __delitem__(self, name: str) -> None:
        del self._added[name]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def values(self) -> Iterable[str]:  # type: ignore[override]
        """Those of all images, in order of their ids, read at once."""
        texts = self._table.captions()
        for name, caption in self._added.items():
            texts[self._rows[name]] = caption
        return texts


class _Rows(MutableSet[str]):
    """The ids of some rows, which may be taken out."""

    def __init__(self, ids: Sequence[str], rows: Mapping[str, int], inside: npt.NDArray[np.bool_]) -> None:
        self._ids, self._rows, self._inside = ids, rows, inside

    def __contains__(self, name: object) -> bool:
        row = self._rows.get(name) if isinstance(name, str) else None
        return row is not None and bool(self._inside[row])

    def __iter__(self) -> Iterator[str]:
        return (self._ids[row] for row in np.flatnonzero(self._inside).tolist())

    def __len__(self) -> int:
        return int(self._inside.sum())

    def add(self, value: str) -> None:
        """Put the row of an id in."""
        self._inside[self._rows[value]] = True

    def discard(self, value: str) -> None:
        """Take the row of an id out."""
        if value in self:
            self._inside[self._rows[value]] = False


def open_listing(entries: Sequence[Entry]) -> Listing:
    """The images of a manifest."""
    return TableListing(entries) if isinstance(entries, EntryTable) else Listing(entries)
