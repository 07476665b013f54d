"""Which row of an index an image is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def rows_by_id(ids: Sequence[str]) -> Mapping[str, int]:
    """The row of each id; not counted through where the ids know it (`entries.TableIds`)."""
    known: Mapping[str, int] | None = getattr(ids, "rows", None)
    return known if known is not None else {name: row for row, name in enumerate(ids)}
