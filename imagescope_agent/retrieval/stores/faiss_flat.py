"""Vectors in FAISS files, searched exactly, or approximately where an index says so (see `faiss_joint`).

    SPACE.<hash>.faiss   IndexFlatIP, row i = image of entry i of the manifest
    joint.<hash>.faiss   codes, a graph or lists over the default spaces

A file carries its hash in the name; the manifest keeps {"file", "sha256"} for each space.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from imagescope_agent.retrieval.index.manifest import damaged
from imagescope_agent.retrieval.protocols import Space, SpaceQuery, StoredSpace, VectorStore
from imagescope_agent.retrieval.stores import faiss_joint
from imagescope_agent.retrieval.stores.faiss_building import build
from imagescope_agent.retrieval.stores.faiss_files import OURS, read_flat, rows_of, write_flat
from imagescope_agent.retrieval.stores.joint import DEFAULT_INDEX, Records, chosen_index
from imagescope_agent.retrieval.stores.mixtures import Mixtures
from imagescope_agent.retrieval.stores.rows import rows_by_id
from imagescope_agent.retrieval.vectors import Vectors

MANY = (
    10_000  # rows from which on one pass over a mixture is faster than one over each space and a little more
)
FEW = 4  # a mixture is used where at most one row in so many is wanted
ROWS_A_THREAD = 10_000  # rows that are worth a thread
ROUNDING = (
    1e-4  # by how much the product with a mixture may differ from the sum of products, for weights of sum 1
)


class FaissFlatStore:
    """An IndexFlatIP for each space.

    Args:
        ids: the images, sorted; row i of every index is ids[i].
        indices: by space.
    """

    def __init__(self, ids: Sequence[str], indices: Mapping[str, faiss.IndexFlatIP]) -> None:
        self._ids, self._indices = ids, indices
        self._mixtures = Mixtures(indices)
        self._rows = rows_by_id(ids)

    def search(
        self,
        queries: Sequence[SpaceQuery],
        k: int,
        *,
        exclude: Set[str] = frozenset(),
        include: Set[str] = frozenset(),
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> list[tuple[str, float]]:
        """As `VectorStore.search`, exactly: every allowed vector is compared; rows are in order of id."""
        if allowed is None:
            scores = self._scores(queries, k + len(exclude), [self._rows[name] for name in include])
            return self._ranked(scores, np.arange(len(scores)), k, exclude, include)
        rows = np.flatnonzero(allowed)
        return self._ranked(self._sums(queries, rows), rows, k, exclude, include)

    def search_among(
        self,
        queries: Sequence[SpaceQuery],
        rows: npt.NDArray[np.int64],
        k: int,
        *,
        exclude: Set[str] = frozenset(),
        include: Set[str] = frozenset(),
    ) -> list[tuple[str, float]]:
        """As `search`, of some rows, which are in order."""
        return self._ranked(self._sums(queries, rows), rows, k, exclude, include)

    def _ranked(
        self,
        scores: npt.NDArray[np.float64],
        rows: npt.NDArray[np.int64],
        k: int,
        exclude: Set[str],
        include: Set[str],
    ) -> list[tuple[str, float]]:
        """The best of some rows (m,), which are in order, by their scores (m,), and those that are included."""
        out = {self._rows[name] for name in exclude}
        best = [at for at in _best(scores, k + len(exclude)).tolist() if rows[at] not in out][:k]
        if too := {self._rows[name] for name in include} - out:
            others = set(np.flatnonzero(np.isin(rows, list(too))).tolist()) - set(best)
            best += sorted(others, key=lambda at: (-scores[at], at))
        return [(self._ids[int(rows[at])], float(scores[at])) for at in best]

    def _scores(
        self, queries: Sequence[SpaceQuery], most: int, too: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        """The score of every row, in order of rows; exact for the `most` best and the rows `too`.

        Rows that a mixture of the spaces leaves a chance to be among the best are compared in every space.
        """
        pays = len(self._ids) >= max(MANY, FEW * most)
        mixture = self._mixtures.find(queries) if pays else None
        if mixture is None:
            return self._sums(queries)
        scores = _products(*mixture)
        slack = ROUNDING * sum(abs(query.weight) for query in queries)
        close = scores >= np.partition(scores, -most)[-most] - 2 * slack
        close[list(too)] = True
        rows = np.flatnonzero(close)
        scores[rows] = self._sums(queries, rows)
        return scores

    def _sums(
        self, queries: Sequence[SpaceQuery], rows: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.float64]:
        """The weighted sums of inner products, of all rows or of some: (m,)."""
        parts = [
            query.weight * _products(self._indices[query.space], query.vector, rows) for query in queries
        ]
        found: npt.NDArray[np.float64] = np.sum(parts, axis=0)
        return found

    def read(self, space: str, start: int, end: int) -> Vectors:
        """As `joint.ReadableStore.read`."""
        return rows_of(self._indices[space])[start:end]

    def vector(self, space: str, name: str) -> Vectors:
        """As `VectorStore.vector`."""
        return np.asarray(self._indices[space].reconstruct(self._rows[name]), dtype=np.float32)

    def update(self, space: str, vectors: Mapping[str, Vectors]) -> None:
        """As `UpdatableStore.update`."""
        rows = rows_of(self._indices[space])
        for name, vector in vectors.items():
            rows[self._rows[name]] = vector
        self._mixtures.clear()


class FaissFlatBackend:
    """Writes and opens the files of `FaissFlatStore`."""

    def write(
        self, location: Path, ids: Sequence[str], space: Space, vectors: Iterable[Vectors]
    ) -> dict[str, Any]:
        """As `StoreBackend.write`; the same vectors give the same file."""
        return dict(write_flat(location, space.name, len(ids), space.dimension, vectors))

    def write_joint(
        self,
        location: Path,
        ids: Sequence[str],
        spaces: Sequence[Space],
        vectors: Sequence[Iterable[Vectors]],
        *,
        index: str = DEFAULT_INDEX,
        records: Records | None = None,
        tell: Callable[[str], None] = lambda _: None,
        resume: str = "",
    ) -> list[dict[str, Any]]:
        """As `JointBackend.write_joint`; what the records hold lies in files beside the vectors already."""
        kept = [self.write(location, ids, space, each) for space, each in zip(spaces, vectors, strict=True)]
        if len(ids) and (kind := chosen_index(index, len(ids), large="pq4")) != "exact":
            stored = [StoredSpace(**vars(space), kept=each) for space, each in zip(spaces, kept, strict=True)]
            built = build(kind, [read_flat(location, len(ids), each) for each in stored])
            written = faiss_joint.write_built(location, built)
            kept[0][faiss_joint.JOINT] = {**written, "spaces": [space.name for space in spaces]}
            tell(faiss_joint.describe(written))
        return kept

    def open(self, location: Path, ids: Sequence[str], spaces: Sequence[StoredSpace]) -> VectorStore:
        """As `StoreBackend.open`: checksums, sizes and numbers are checked."""
        indices = {space.name: read_flat(location, len(ids), space) for space in spaces}
        exact = FaissFlatStore(ids, indices)
        joint = next((each for space in spaces if (each := space.kept.get(faiss_joint.JOINT))), None)
        if joint is None:
            return exact
        if not isinstance(joint, dict):
            raise damaged(location, "its approximate index is none")
        sizes = faiss_joint.dimensions(indices, joint.get("spaces"), location)
        index, effort = faiss_joint.read_built(location, joint, len(ids), sum(sizes.values()))
        return faiss_joint.ApproximateStore(rows_by_id(ids), exact, index, sizes, effort)

    def tidy(self, location: Path, kept: Sequence[Mapping[str, Any]]) -> None:
        """As `StoreBackend.tidy`."""
        joint = [each.get(faiss_joint.JOINT) for each in kept]
        keep = {each.get("file") for each in [*kept, *joint] if isinstance(each, Mapping)}
        for path in location.iterdir():
            if OURS.fullmatch(path.name) and path.name not in keep and stat.S_ISREG(path.lstat().st_mode):
                path.unlink(missing_ok=True)


def _best(scores: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """The rows of the `count` largest scores, largest first, ties in order of rows; all where there are fewer."""
    rows = np.arange(len(scores))
    if count < len(scores):
        rows = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    return rows[np.argsort(-scores[rows], kind="stable")][:count]


def _products(
    index: faiss.IndexFlatIP, vector: Vectors, rows: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.float64]:
    """Inner products of a vector with every row, or with some: (m,), in their order.

    Each row is visited by the same code, so that equal rows get equal scores: a matrix product does not promise that.
    FAISS uses a thread a query: each gets this one with a part of the rows.
    """
    asked = np.arange(index.ntotal, dtype=np.int64) if rows is None else rows
    if not len(asked):
        return np.zeros(0)
    most = faiss.omp_get_max_threads()
    threads = max(1, min(most, len(asked) // ROWS_A_THREAD))
    each = -(-len(asked) // threads)
    padded = np.resize(asked, threads * each)
    queries = np.ascontiguousarray(np.broadcast_to(vector, (threads, index.d)), dtype=np.float32)
    products = np.empty(threads * each, dtype=np.float32)
    pointers = (faiss.swig_ptr(queries), each, faiss.swig_ptr(products), faiss.swig_ptr(padded))
    every: Any = index  # its annotations leave this out
    faiss.omp_set_num_threads(threads)  # of this thread alone; others would be waited for with nothing to do
    try:
        every.compute_distance_subset(threads, *pointers)
    finally:
        faiss.omp_set_num_threads(most)
    return products[: len(asked)].astype(np.float64)


def open_backend(place: str) -> FaissFlatBackend:
    """The backend; its files lie beside the manifest, so it takes no place."""
    return FaissFlatBackend()
