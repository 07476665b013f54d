"""The ids of a large collection, as a sequence and as rows by id: each is read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Protocol, overload


class Texts(Protocol):
    """What has the ids: an `entries.EntryTable`."""

    def __len__(self) -> int: ...

    def text_of_id(self, row: int) -> str:
        """The id of a row."""

    def text_ids(self) -> list[str]:
        """The ids of all rows."""


class TableIds(Sequence[str]):
    """The ids of a table, sorted.

    Attributes:
        rows: row by id.
    """

    def __init__(self, table: Texts) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[str]: ...
    def __getitem__(self, row: int | slice) -> str | Sequence[str]:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        return self._table.text_of_id(range(len(self))[row])

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.text_ids())

    def __contains__(self, name: object) -> bool:
        return name in self.rows

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Row by id, found by halving."""
        return _Rows(self)


class _Rows(Mapping[str, int]):
    def __init__(self, ids: TableIds) -> None:
        self._ids = ids

    def __getitem__(self, name: str) -> int:
        low, high = 0, len(self._ids)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._ids[middle] < name else (low, middle)
        if low == len(self._ids) or self._ids[low] != name:
            raise KeyError(name)
        return low

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)
