"""Vectors in FAISS files, searched exactly, or approximately where an index says so (see `faiss_joint`).

    SPACE.<hash>.faiss   IndexFlatIP, row i = image of entry i of the manifest
    joint.<hash>.faiss   HNSW or IVF-PQ over the default spaces

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
            order = _best(scores, k + len(exclude))
        else:
            scores, rows = self._sums(queries, allowed), np.flatnonzero(allowed)
            order = rows[_best(scores[rows], k + len(exclude))]
        out = {self._rows[name] for name in exclude}
        best = [row for row in order.tolist() if row not in out][:k]
        too = {self._rows[name] for name in include} - out - set(best)
        too = too if allowed is None else {row for row in too if allowed[row]}
        best += sorted(too, key=lambda row: (-scores[row], row))
        return [(self._ids[row], float(scores[row])) for row in best]

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
        scores[close] = self._sums(queries, close)[close]
        return scores

    def _sums(
        self, queries: Sequence[SpaceQuery], chosen: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float64]:
        """The weighted sums of inner products, of all rows or of the chosen ones: (n,)."""
        parts = [
            query.weight * _products(self._indices[query.space], query.vector, chosen) for query in queries
        ]
        found: npt.NDArray[np.float64] = np.sum(parts, axis=0)
        return found

    def among(self, rows: npt.NDArray[np.int64]) -> FaissFlatStore:
        """Some rows, in order, as a store of their own: the same scores for less work."""
        chosen = {name: faiss.IndexFlatIP(index.d) for name, index in self._indices.items()}
        for name, index in self._indices.items():
            chosen[name].add(index.reconstruct_batch(rows))
        return FaissFlatStore([self._ids[row] for row in rows.tolist()], chosen)

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
        if (kind := chosen_index(index, len(ids), large="hnsw")) != "exact":
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
    index: faiss.IndexFlatIP, vector: Vectors, chosen: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """Inner products of a vector with every row, or with the chosen ones, else 0: (n,), in order of rows.

    Each row is visited by the same code, so that equal rows get equal scores: a matrix product does not promise that.
    """
    library: Any = faiss  # its annotations leave out what it takes from Python
    if chosen is None:
        return _all_products(index, vector)
    selector = library.IDSelectorBitmap(np.packbits(chosen, bitorder="little"))
    least = -float(np.finfo(np.float32).max)  # a range search without bound
    _, products, rows = index.range_search(vector[None], least, params=library.SearchParameters(sel=selector))
    scores = np.zeros(index.ntotal, dtype=np.float64)
    scores[rows] = products
    return scores


def _all_products(index: faiss.IndexFlatIP, vector: Vectors) -> npt.NDArray[np.float64]:
    """Inner products with every row: (n,). FAISS uses a thread a query: each gets this one with some rows."""
    threads = max(1, min(faiss.omp_get_max_threads(), index.ntotal // ROWS_A_THREAD))
    each = -(-index.ntotal // threads)
    rows = np.arange(threads * each, dtype=np.int64) % max(1, index.ntotal)
    queries = np.ascontiguousarray(np.broadcast_to(vector, (threads, index.d)), dtype=np.float32)
    products = np.empty(threads * each, dtype=np.float32)
    pointers = (faiss.swig_ptr(queries), each, faiss.swig_ptr(products), faiss.swig_ptr(rows))
    every: Any = index  # its annotations leave this out
    every.compute_distance_subset(threads, *pointers)
    return products[: index.ntotal].astype(np.float64)


def open_backend(place: str) -> FaissFlatBackend:
    """The backend; its files lie beside the manifest, so it takes no place."""
    return FaissFlatBackend()
