"""Approximate search in FAISS of several spaces side by side, rescored exactly.

The index gives candidates; their order and scores are those of the exact store, which compares the stored vectors. So
an approximate search may miss an image, but never gives one another score or place among those that it found.

"hnsw" and "ivfpq" look at some images. "sq8" and "pq4" compare every image, by codes: scalar quantization of 8 bits a
number, and product quantization of 4 bits for 4 numbers, whose tables fit into registers (Andre, Kermarrec and Le
Scouarnec, "Cache locality is not enough", VLDB 2015).

`faiss_building` builds the index and sets the effort of its searches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
import numpy.typing as npt

from imagescope_agent.retrieval.index.manifest import damaged
from imagescope_agent.retrieval.protocols import SpaceQuery, UpdatableStore
from imagescope_agent.retrieval.stores.faiss_files import read_index, write_index
from imagescope_agent.retrieval.stores.faiss_marks import HNSW, IVFPQ, PQ4, SQ8, parts_fit, stays_inside
from imagescope_agent.retrieval.stores.joint import joint_query
from imagescope_agent.retrieval.vectors import Vectors

JOINT = "joint"  # what files are named by, and under which the manifest keeps the index
BEST = 100  # of which the recall is measured
OVERSAMPLED = 10  # candidates for each result that is wanted, at least
MOST_OVERSAMPLED = 80
LEAST = 1000  # candidates
LARGEST_SHARE = 20  # a search for more than one in so many rows compares all of them
MOST_CHANGED = 4096  # replaced vectors; with more, all rows are compared


class ExactStore(UpdatableStore, Protocol):
    """What compares all vectors, or those of some rows."""

    def search_among(
        self,
        queries: Sequence[SpaceQuery],
        rows: npt.NDArray[np.int64],
        k: int,
        *,
        exclude: Set[str] = frozenset(),
        include: Set[str] = frozenset(),
    ) -> list[tuple[str, float]]:
        """As `VectorStore.search`, of some rows, which are in order."""

    def read(self, space: str, start: int, end: int) -> Vectors:
        """As `joint.ReadableStore.read`."""


@dataclass(frozen=True)
class Built:
    """An index, the effort of its searches, their candidates for each result, and the recall that they had."""

    index: Any
    kind: str
    effort: int
    recall: float
    oversampled: int = OVERSAMPLED


class ApproximateStore:
    """Candidates of an approximate index, ranked by the exact store.

    Searches with a filter, in other spaces, or for a large share of the rows compare all vectors; so do those to which
    the index gives fewer candidates than are wanted, as for a query of zeros.

    Args:
        rows: of the images, by id.
        exact: the store of the vectors.
        index: of the spaces side by side.
        spaces: their dimensions by name, in order.
        effort: of a search, as `candidates` takes it.
    """

    def __init__(
        self,
        rows: Mapping[str, int],
        exact: ExactStore,
        index: Any,
        spaces: Mapping[str, int],
        effort: tuple[int, int],
    ) -> None:
        self._rows, self._exact, self._index, self._spaces = rows, exact, index, spaces
        self._effort = effort
        self._changed: set[int] = set()

    def search(
        self,
        queries: Sequence[SpaceQuery],
        k: int,
        *,
        exclude: Set[str] = frozenset(),
        include: Set[str] = frozenset(),
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> list[tuple[str, float]]:
        """As `VectorStore.search`, but that an image may be missed."""
        query = joint_query(queries, self._spaces)
        few = (k + len(exclude)) * LARGEST_SHARE <= len(self._rows) and len(self._changed) <= MOST_CHANGED
        if allowed is not None or query is None or not few:
            return self._exact.search(queries, k, exclude=exclude, include=include, allowed=allowed)
        rows = candidates(self._index, query, k + len(exclude), *self._effort)
        if len(rows) < k + len(exclude):  # FAISS leaves out rows whose sum of codes is the least there is
            return self._exact.search(queries, k, exclude=exclude, include=include)
        too = [self._rows[name] for name in include]
        chosen = np.union1d(rows, np.array([*self._changed, *too], dtype=np.int64))
        return self._exact.search_among(queries, chosen, k, exclude=exclude, include=include)

    def read(self, space: str, start: int, end: int) -> Vectors:
        """As `joint.ReadableStore.read`."""
        return self._exact.read(space, start, end)

    def vector(self, space: str, name: str) -> Vectors:
        """As `VectorStore.vector`."""
        return self._exact.vector(space, name)

    def update(self, space: str, vectors: Mapping[str, Vectors]) -> None:
        """As `UpdatableStore.update`; the rows are candidates of every search from then on."""
        self._exact.update(space, vectors)
        if space in self._spaces:
            self._changed |= {self._rows[name] for name in vectors}


def candidates(
    index: Any, query: Vectors, count: int, effort: int, oversampled: int = OVERSAMPLED
) -> npt.NDArray[np.int64]:
    """Rows that are likely among the `count` best, best first; at most as many as there are.

    Args:
        index: that is asked.
        query: (d,).
        count: of results that are wanted.
        effort: efSearch of HNSW, nprobe of IVF-PQ; where all are compared by codes, candidates for `BEST` results.
        oversampled: candidates of IVF-PQ for each result.
    """
    wanted = min(max(LEAST, oversampled * count), index.ntotal)
    library: Any = faiss
    settings = None
    if isinstance(index, library.IndexScalarQuantizer | library.IndexPQFastScan):
        wanted = max(effort * max(count, BEST) // BEST, 2 * count)
        if wanted >= index.ntotal:  # FAISS leaves out rows whose sum of codes is the least there is
            return np.arange(index.ntotal, dtype=np.int64)
    elif isinstance(index, faiss.IndexHNSW):
        wanted = min(wanted, max(effort, 2 * count))
        settings = library.SearchParametersHNSW(efSearch=max(effort, wanted))
    else:
        settings = library.SearchParametersIVF(nprobe=effort)
    rows: npt.NDArray[np.int64] = index.search(query[None], wanted, params=settings)[1][0]
    return rows[rows >= 0]


def write_built(location: Path, built: Built) -> dict[str, Any]:
    """Write the index; returns what the manifest keeps.

    Raises:
        OSError: the disk is full or read-only.
    """
    recall = round(built.recall, 4)
    file = write_index(location, JOINT, built.index)
    more = {"oversampled": built.oversampled} if built.oversampled != OVERSAMPLED else {}
    return {**file, "kind": built.kind, "effort": built.effort, "recall": recall, **more}


def read_built(
    location: Path, kept: dict[str, Any], count: int, dimension: int
) -> tuple[Any, tuple[int, int]]:
    """The index and the effort of its searches, as `candidates` takes it.

    Raises:
        FileNotFoundError: it is gone; a newer index may have been published meanwhile.
        BadInput: it is damaged.
    """
    effort: Any = kept.get("effort")
    oversampled = kept.get("oversampled", OVERSAMPLED)
    most = (4 * dimension + 1024) * (count + 65_536)
    index, _ = read_index(location, kept, JOINT, most, (HNSW, IVFPQ, PQ4, SQ8))
    fits = (index.ntotal, index.d) == (count, dimension) and parts_fit(index, count)
    if not fits or not _within(effort, count) or not _within(oversampled, MOST_OVERSAMPLED):
        raise damaged(location, f"{kept['file']} does not fit the manifest")
    if not stays_inside(index, count):
        raise damaged(location, f"{kept['file']} leads outside itself")
    return index, (int(effort), oversampled)


def _within(told: object, most: int) -> bool:
    return isinstance(told, int) and not isinstance(told, bool) and 1 <= told <= most


def describe(kept: Mapping[str, Any]) -> str:
    """What was built, in a line."""
    return (
        f"index {kept['kind']}: {100 * kept['recall']:.1f} % of the exact {BEST} best are found, "
        "measured with vectors of the collection"
    )


def dimensions(indices: Mapping[str, faiss.IndexFlatIP], names: object, location: Path) -> dict[str, int]:
    """The dimensions of the spaces that an index covers.

    Raises:
        BadInput: the manifest names others.
    """
    if not isinstance(names, list) or not names or any(name not in indices for name in names):
        raise damaged(location, "its approximate index is of spaces that there are not")
    return {name: indices[name].d for name in names}
