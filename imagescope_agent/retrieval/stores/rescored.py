"""Stores outside of this process: the engine gives the nearest with their vectors, and they are ranked as FAISS does.

So an index has the same scores, ties and order in every store, to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

import faiss
import numpy as np
import numpy.typing as npt

from imagescope_agent.retrieval.metadata.conditions import Condition
from imagescope_agent.retrieval.protocols import SpaceQuery
from imagescope_agent.retrieval.stores.faiss_flat import FaissFlatStore
from imagescope_agent.retrieval.stores.joint import joint_query
from imagescope_agent.retrieval.stores.rows import rows_by_id
from imagescope_agent.retrieval.vectors import Vectors

MARGIN = 16  # candidates beyond what is wanted
ROUNDING = 2e-5  # by how much the engine's product may differ from ours
FEW = 1000  # rows that a filter leaves, or a search includes, that are fetched one and all
CHUNK = 4096  # rows that are fetched at once where all are compared here


@dataclass(frozen=True)
class Table:
    """The vectors of some spaces side by side, as one table of an engine.

    Attributes:
        name: in the engine.
        spaces: dimension by name, in order.
        fields: names of the fields that it keeps, in order.
    """

    name: str
    spaces: Mapping[str, int]
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Nearest:
    """Rows (m,), their products with the query as the engine computes them, best first, and their vectors (m, d)."""

    rows: npt.NDArray[np.int64]
    products: npt.NDArray[np.float64]
    vectors: Vectors


class Engine(Protocol):
    """A vector database. Every method raises BackendUnavailable where it does not answer."""

    most: int  # rows that one search may give

    def nearest(
        self, table: Table, query: Vectors, count: int, where: Condition | None, *, exact: bool
    ) -> Nearest:
        """The `count` nearest rows, of those for which the condition holds; all compared if `exact`, where it can."""
        ...

    def fetch(self, table: Table, rows: Sequence[int]) -> Vectors:
        """The vectors of rows, (m, d), in order of `rows`."""
        ...


class RescoredStore:
    """The tables of an index in an engine.

    Args:
        ids: the images, sorted.
        engine: what searches.
        tables: each space is in one of them.
    """

    def __init__(self, ids: Sequence[str], engine: Engine, tables: Sequence[Table]) -> None:
        self._ids, self._engine, self._rows = ids, engine, rows_by_id(ids)
        self._tables = {space: table for table in tables for space in table.spaces}
        self._replaced: dict[str, dict[int, Vectors]] = {space: {} for space in self._tables}
        #: Rows of each table that were fetched because a vector of theirs is replaced: every search needs them.
        self._held: dict[str, dict[int, Vectors]] = {table.name: {} for table in tables}

    def fields(self) -> tuple[str, ...]:
        """The fields that searches may be given conditions on."""
        return next((table.fields for table in self._tables.values() if table.fields), ())

    def search(
        self,
        queries: Sequence[SpaceQuery],
        k: int,
        *,
        exclude: Set[str] = frozenset(),
        include: Set[str] = frozenset(),
        allowed: npt.NDArray[np.bool_] | None = None,
        where: Condition | None = None,
    ) -> list[tuple[str, float]]:
        """As `VectorStore.search`; exact where the engine is. Where it gives too few rows, all are compared here.

        Args:
            queries: as of `VectorStore.search`, and so are the others but the last.
            k: how many.
            exclude: ids.
            include: ids.
            allowed: rows.
            where: conditions that all allowed rows meet, on `fields`; the engine is asked for no others.
        """
        too = [self._rows[name] for name in include]
        too += [row for replaced in self._replaced.values() for row in replaced]
        total = len(self._ids) if allowed is None else int(allowed.sum())
        want = min(k + len(exclude), total)
        if allowed is not None and total <= FEW:
            return self._ranked(queries, np.flatnonzero(allowed), {}, k, exclude, include)
        count = want + MARGIN
        while True:
            rows, known, bound = self._candidates(queries, count, where, allowed)
            chosen = np.union1d(rows, np.array(too, dtype=np.int64))
            chosen = chosen if allowed is None else chosen[allowed[chosen]]
            found = self._ranked(queries, chosen, known, len(chosen), frozenset(), frozenset())
            done = bound is None or (len(found) >= want > 0 and found[want - 1][1] > bound + ROUNDING)
            if done and len(found) >= want:
                break
            if done or count >= self._engine.most:
                return self._compared(queries, allowed, k, exclude, include)
            count = min(4 * count, self._engine.most)
        best = [pair for pair in found if pair[0] not in exclude]
        return best[:k] + [pair for pair in best[k:] if pair[0] in include]

    def _compared(
        self,
        queries: Sequence[SpaceQuery],
        allowed: npt.NDArray[np.bool_] | None,
        k: int,
        exclude: Set[str],
        include: Set[str],
    ) -> list[tuple[str, float]]:
        """As `search`, of all allowed rows, which are fetched in chunks."""
        rows = np.arange(len(self._ids)) if allowed is None else np.flatnonzero(allowed)
        found: list[tuple[str, float]] = []
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            found += self._ranked(queries, chunk, {}, k, exclude, include)
            found.sort(key=lambda pair: (-pair[1], self._rows[pair[0]]))
            found = found[:k] + [pair for pair in found[k:] if pair[0] in include]
        return found

    def _candidates(
        self,
        queries: Sequence[SpaceQuery],
        count: int,
        where: Condition | None,
        allowed: npt.NDArray[np.bool_] | None,
    ) -> tuple[npt.NDArray[np.int64], dict[str, Nearest], float | None]:
        """The nearest rows of each table, and the most that another row can score; None where there is no other.

        A row that is in no table's list scores no more than the sum of the lists' last ones (Fagin's threshold).
        """
        known: dict[str, Nearest] = {}
        bound, ended = 0.0, False
        for table in {
            self._tables[query.space].name: self._tables[query.space] for query in queries
        }.values():
            asked = [query for query in queries if query.space in table.spaces]
            vector = joint_query(asked, table.spaces)
            assert vector is not None
            pushed = where if table.fields else None
            near = self._engine.nearest(
                table, vector, min(count, self._engine.most), pushed, exact=allowed is not None
            )
            known[table.name] = near
            ended = ended or len(near.rows) < min(count, self._engine.most)
            bound += float(near.products[-1]) if len(near.rows) else 0.0
        rows = np.unique(np.concatenate([near.rows for near in known.values()]))
        return rows, known, None if ended else bound

    def _ranked(
        self,
        queries: Sequence[SpaceQuery],
        rows: npt.NDArray[np.int64],
        known: Mapping[str, Nearest],
        k: int,
        exclude: Set[str],
        include: Set[str],
    ) -> list[tuple[str, float]]:
        """Rows, sorted, ranked by their vectors as `FaissFlatStore` ranks them."""
        if not len(rows) or k < 1:
            return []
        indices: dict[str, faiss.IndexFlatIP] = {}
        tables = {self._tables[query.space].name: self._tables[query.space] for query in queries}
        for table in tables.values():
            vectors = self._vectors(table, rows, known.get(table.name))
            start = 0
            for space, size in table.spaces.items():
                part = np.ascontiguousarray(vectors[:, start : start + size])
                for place, row in enumerate(rows.tolist()) if self._replaced[space] else ():
                    part[place] = self._replaced[space].get(row, part[place])
                indices[space] = faiss.IndexFlatIP(size)
                indices[space].add(part)
                start += size
        names = [self._ids[row] for row in rows.tolist()]
        here = set(names)
        return FaissFlatStore(names, indices).search(
            queries, k, exclude=here & exclude, include=here & include
        )

    def _vectors(self, table: Table, rows: npt.NDArray[np.int64], known: Nearest | None) -> Vectors:
        """The vectors of sorted rows: those that came with the search, and the others fetched."""
        vectors = np.zeros((len(rows), sum(table.spaces.values())), dtype=np.float32)
        here = np.zeros(len(rows), dtype=bool)
        if known is not None and len(known.rows):
            order = np.argsort(known.rows)
            places = np.searchsorted(known.rows[order], rows).clip(max=len(order) - 1)
            here = known.rows[order][places] == rows
            vectors[here] = known.vectors[order][places[here]]
        held, missing = self._held[table.name], rows[~here].tolist()
        asked = [row for row in missing if row not in held]
        found = dict(zip(asked, self._engine.fetch(table, asked), strict=True)) if asked else {}
        for place, row in zip(np.flatnonzero(~here), missing, strict=True):
            vectors[place] = held[row] if row in held else found[row]
        replaced = {row for space in table.spaces for row in self._replaced[space]}
        held.update((row, vector) for row, vector in found.items() if row in replaced)
        return vectors

    def read(self, space: str, start: int, end: int) -> Vectors:
        """As `joint.ReadableStore.read`."""
        table, first = self._tables[space], 0
        for name, size in table.spaces.items():
            if name == space:
                break
            first += size
        whole = self._engine.fetch(table, range(start, end))
        return np.ascontiguousarray(whole[:, first : first + size])

    def vector(self, space: str, name: str) -> Vectors:
        """As `VectorStore.vector`."""
        row = self._rows[name]
        found = self._replaced[space].get(row)
        return self.read(space, row, row + 1)[0] if found is None else found

    def update(self, space: str, vectors: Mapping[str, Vectors]) -> None:
        """As `UpdatableStore.update`; kept in memory, and such rows are candidates of every search."""
        self._replaced[space] |= {self._rows[name]: np.asarray(vector) for name, vector in vectors.items()}


def tables_of(spaces: Sequence[Any], pattern: Any, refuse: Any) -> list[Table]:
    """The tables that a manifest names, which may be a stranger's.

    Args:
        spaces: as `StoreBackend.open` is given them.
        pattern: of the names of tables.
        refuse: makes the error for what cannot be.
    """
    by_name: dict[str, dict[str, int]] = {}
    fields: dict[str, tuple[str, ...]] = {}
    for space in sorted(spaces, key=lambda each: str(each.kept.get("place"))):
        name, place, kept = (space.kept.get(key) for key in ("table", "place", "fields"))
        if not isinstance(name, str) or not pattern.fullmatch(name) or not isinstance(place, int):
            raise refuse(f"it names no table for {space.name!r}")
        by_name.setdefault(name, {})[space.name] = space.dimension
        if isinstance(kept, list) and all(isinstance(each, str) for each in kept):
            fields[name] = tuple(kept)
    return [Table(name, sizes, fields.get(name, ())) for name, sizes in by_name.items()]
