"""Rows as a database is given them: an image's texts and fields, and the vectors of several spaces side by side."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.untrusted import read_file, real_path
from imagescope_agent.retrieval.metadata.conditions import MISSING
from imagescope_agent.retrieval.metadata.table import Column
from imagescope_agent.retrieval.protocols import Space
from imagescope_agent.retrieval.stores.joint import Records
from imagescope_agent.retrieval.vectors import Vectors

IDENTITY = "store.id"  # in the folder of the index
_LONGEST = 64  # bytes of it
#: Row number, id, key, caption, the fields as numbers, and the vector (d,).
Row = tuple[int, str, str, str | None, Sequence[Any], Vectors]


class JointRows:
    """The rows of a collection, once, and a hash of all that a table of them is.

    Args:
        ids, spaces, vectors, records: as `JointBackend.write_joint` is given them.
        kind: of the index that the table has.
    """

    def __init__(
        self,
        ids: Sequence[str],
        spaces: Sequence[Space],
        vectors: Sequence[Iterable[Vectors]],
        records: Records | None,
        kind: str,
    ) -> None:
        self._ids, self._vectors, self._records = ids, vectors, records
        # two spaces of equal vectors are two tables, and so are two kinds of index
        self._hash = hashlib.sha256(repr((kind, [(each.name, each.dimension) for each in spaces])).encode())

    def __iter__(self) -> Iterator[Row]:
        columns = list(self._records.columns.items()) if self._records else []
        for name, column in columns:
            self._hash.update(f"{name}\n{column.kind}\n{chr(0).join(column.words)}\n".encode())
        values = [numbers_of(column) for _, column in columns]
        keys = self._records.keys if self._records else [""] * len(self._ids)
        captions = self._records.captions if self._records else [None] * len(self._ids)
        joint = zip(*(_one_by_one(each) for each in self._vectors), strict=True)
        for row, (name, key, caption, parts) in enumerate(zip(self._ids, keys, captions, joint, strict=True)):
            vector = np.concatenate(parts)
            fields = [each[row] for each in values]
            self._hash.update(f"{name}\n{key}\n{caption!r}\n{fields!r}\n".encode("utf-8", "surrogatepass"))
            self._hash.update(vector.tobytes())
            yield row, name, key, caption, fields, vector

    def batches(self, size: int) -> Iterator[list[Row]]:
        """The rows, so many at once."""
        rows = iter(self)
        while batch := list(islice(rows, size)):
            yield batch

    def digest(self) -> str:
        """A hash over the spaces, the kind of index and the rows that were given out."""
        return self._hash.hexdigest()


def numbers_of(column: Column) -> list[Any]:
    """A column's values as plain numbers; a missing one is as `conditions.MISSING` says."""
    values: npt.NDArray[Any] = np.where(column.known, column.values, MISSING[column.kind])
    return values.tolist()  # type: ignore[no-any-return]


def _one_by_one(chunks: Iterable[Vectors]) -> Iterator[Vectors]:
    for chunk in chunks:
        yield from np.ascontiguousarray(chunk, dtype=np.float32)


def owner_of(location: Path) -> str | None:
    """What the tables of an index are named by, so that it removes no other's; None where it has written none.

    A hash of a random identity that the folder keeps, and of where it lies: neither two machines with one path nor the
    copy of a folder remove each other's tables.

    Raises:
        OSError: the identity cannot be read.
    """
    try:
        identity = read_file(location / IDENTITY, _LONGEST)
    except FileNotFoundError:
        return None
    return hashlib.sha256(identity + b"\n" + os.fsencode(real_path(location))).hexdigest()[:12]


def new_owner(location: Path) -> str:
    """As `owner_of`, for what is about to be written: the folder gets an identity where it has none.

    Raises:
        OSError: the disk is full or read-only.
    """
    if (owner := owner_of(location)) is not None:
        return owner
    write_atomic(location / IDENTITY, secrets.token_hex(16))
    owner = owner_of(location)
    assert owner is not None
    return owner


@contextmanager
def keep_owner(location: Path) -> Iterator[None]:
    """Leave the identity of a folder as it is, whatever is removed of its tables.

    Raises:
        OSError: it cannot be read or written.
    """
    try:
        identity = read_file(location / IDENTITY, _LONGEST)
    except FileNotFoundError:
        identity = b""
    try:
        yield
    finally:
        if identity and not (location / IDENTITY).exists():
            write_atomic(location / IDENTITY, identity.decode())


def forget_owner(location: Path) -> None:
    """Remove the identity of a folder that has no tables any more."""
    (location / IDENTITY).unlink(missing_ok=True)


def kept_of(table: str, spaces: Sequence[Space], fields: Sequence[str], index: str) -> list[dict[str, Any]]:
    """What the manifest keeps of spaces that one table holds side by side."""
    about = {"table": table, "index": index, **({"fields": list(fields)} if fields else {})}
    return [{**about, "place": place} for place in range(len(spaces))]
