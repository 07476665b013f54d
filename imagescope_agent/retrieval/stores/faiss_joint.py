"""Approximate search in FAISS: HNSW, IVF-PQ or 8 bits a number, of several spaces side by side, rescored exactly.

The index gives candidates; their order and scores are those of the exact store, which compares the stored vectors. So
an approximate search may miss an image, but never gives one another score or place among those that it found.

Scalar quantization ("sq8") compares every image, by numbers of 8 bits: a quarter of the bytes that are read.

The effort of a search (efSearch, nprobe, candidates that are rescored) is set when the index is built: the least that
finds `WANTED` of the exact 100 best for queries that are vectors of the collection's last space, as texts are compared
with captions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
import numpy.typing as npt

from imagescope_agent.retrieval.index.manifest import damaged
from imagescope_agent.retrieval.protocols import SpaceQuery, UpdatableStore, VectorStore
from imagescope_agent.retrieval.stores.faiss_files import read_index, rows_of, write_index
from imagescope_agent.retrieval.stores.faiss_marks import HNSW, IVFPQ, SQ8, parts_fit, stays_inside
from imagescope_agent.retrieval.stores.joint import joint_query
from imagescope_agent.retrieval.vectors import Vectors

JOINT = "joint"  # what files are named by, and under which the manifest keeps the index
BEST = 100  # of which the recall is measured
WANTED = 0.995  # recall that a search is set to
PROBES = 64  # queries that it is measured with
TAU = 0.15  # weight of the last space in them
OVERSAMPLED = 10  # candidates for each result that is wanted
LEAST = 1000  # candidates
LARGEST_SHARE = 20  # a search for more than one in so many rows compares all of them
MOST_CHANGED = 4096  # replaced vectors; with more, all rows are compared
CHUNK = 16_384  # rows that are added at once
SUBVECTOR = 8  # numbers that IVF-PQ codes in a byte
PER_LIST = 40  # training vectors for each list of IVF-PQ, as FAISS recommends at least
LINKS, BUILD_EFFORT = 24, 80  # of HNSW
LIST_SHARE = 2  # lists of IVF-PQ for each square root of the number of rows


class ExactStore(UpdatableStore, Protocol):
    """What compares all vectors, or those of some rows."""

    def among(self, rows: npt.NDArray[np.int64]) -> VectorStore:
        """The rows, in order, as a store of their own."""

    def read(self, space: str, start: int, end: int) -> Vectors:
        """As `joint.ReadableStore.read`."""


@dataclass(frozen=True)
class Built:
    """An index, the effort of its searches and the recall that they had."""

    index: Any
    kind: str
    effort: int
    recall: float


class ApproximateStore:
    """Candidates of an approximate index, ranked by the exact store.

    Searches with a filter, in other spaces, or for a large share of the rows compare all vectors.

    Args:
        rows: of the images, by id.
        exact: the store of the vectors.
        index: of the spaces side by side.
        spaces: their dimensions by name, in order.
        effort: of a search.
    """

    def __init__(
        self, rows: Mapping[str, int], exact: ExactStore, index: Any, spaces: Mapping[str, int], effort: int
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
        rows = candidates(self._index, query, k + len(exclude), self._effort)
        too = [self._rows[name] for name in include]
        chosen = np.union1d(rows, np.array([*self._changed, *too], dtype=np.int64))
        found = self._exact.among(chosen)
        inside = frozenset(name for name in exclude if _is_in(self._rows[name], chosen))
        return found.search(queries, k, exclude=inside, include=include)

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


def candidates(index: Any, query: Vectors, count: int, effort: int) -> npt.NDArray[np.int64]:
    """Rows that are likely among the `count` best, best first; at most as many as there are."""
    wanted = min(max(LEAST, OVERSAMPLED * count), index.ntotal)
    library: Any = faiss
    settings = None
    if isinstance(index, library.IndexScalarQuantizer):
        wanted = min(max(effort, 2 * count), index.ntotal)
    elif isinstance(index, faiss.IndexHNSW):
        wanted = min(wanted, max(effort, 2 * count))
        settings = library.SearchParametersHNSW(efSearch=max(effort, wanted))
    else:
        settings = library.SearchParametersIVF(nprobe=effort)
    rows: npt.NDArray[np.int64] = index.search(query[None], wanted, params=settings)[1][0]
    return rows[rows >= 0]


def build(kind: str, indices: Sequence[faiss.IndexFlatIP]) -> Built:
    """Index the rows of several flat indices side by side.

    Args:
        kind: "hnsw", "ivfpq" or "sq8".
        indices: at least one, of the same rows.
    """
    parts = [rows_of(index) for index in indices]
    count, dimension = len(parts[0]), sum(part.shape[1] for part in parts)
    rng = np.random.default_rng(0)
    index = _BUILDERS[kind](count, dimension)
    some = np.sort(rng.permutation(count)[: _training_rows(index)])
    index.train(np.concatenate([part[some] for part in parts], axis=1))
    for chunk in _chunks(parts):
        index.add(chunk)
    queries = _probes(parts, rng)
    return _set_effort(index, kind, queries, _exact_best(parts, queries))


def _sq8(count: int, dimension: int) -> Any:
    library: Any = faiss
    return library.IndexScalarQuantizer(
        dimension, library.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )


def _hnsw(count: int, dimension: int) -> Any:
    library: Any = faiss
    kind = library.ScalarQuantizer.QT_8bit
    index = library.IndexHNSWSQ(dimension, kind, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BUILD_EFFORT
    return index


def _ivfpq(count: int, dimension: int) -> Any:
    library: Any = faiss
    size = next(each for each in range(SUBVECTOR, 0, -1) if dimension % each == 0)
    lists = max(1, min(int(LIST_SHARE * count**0.5), count // PER_LIST))
    bits = 8 if count >= 256 * PER_LIST else 4
    coarse = faiss.IndexFlatIP(dimension)
    index = library.IndexIVFPQ(coarse, dimension, lists, dimension // size, bits, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter = index.pq.cp.niter = 10
    index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1
    return index


_BUILDERS: dict[str, Callable[[int, int], Any]] = {"hnsw": _hnsw, "ivfpq": _ivfpq, "sq8": _sq8}


def _training_rows(index: Any) -> int:
    return PER_LIST * index.nlist + 256 * PER_LIST if isinstance(index, faiss.IndexIVFPQ) else CHUNK


def _chunks(parts: Sequence[Vectors]) -> Iterator[Vectors]:
    for start in range(0, len(parts[0]), CHUNK):
        yield np.concatenate([part[start : start + CHUNK] for part in parts], axis=1)


def _probes(parts: Sequence[Vectors], rng: np.random.Generator) -> Vectors:
    """Weighted queries: vectors of the last space, where all have its dimension, else of each."""
    some = rng.permutation(len(parts[0]))[:PROBES]
    alike = all(part.shape[1] == parts[-1].shape[1] for part in parts)
    weights = [*[(1 - TAU) / max(1, len(parts) - 1)] * (len(parts) - 1), TAU] if len(parts) > 1 else [1.0]
    asked = [parts[-1][some] if alike else part[some] for part in parts]
    return np.concatenate([w * rows for w, rows in zip(weights, asked, strict=True)], axis=1).astype(
        np.float32
    )


def _exact_best(parts: Sequence[Vectors], queries: Vectors) -> npt.NDArray[np.int64]:
    """The rows of the `BEST` largest products of each query: (q, BEST)."""
    best = min(BEST, len(parts[0]))
    scores = np.full((len(queries), 0), 0, dtype=np.float32)
    rows = np.zeros((len(queries), 0), dtype=np.int64)
    for number, chunk in enumerate(_chunks(parts)):
        scores = np.hstack([scores, queries @ chunk.T])
        new = np.arange(number * CHUNK, number * CHUNK + len(chunk))
        rows = np.hstack([rows, np.broadcast_to(new, (len(queries), len(chunk)))])
        kept = np.argpartition(-scores, best - 1, axis=1)[:, :best]
        scores, rows = np.take_along_axis(scores, kept, 1), np.take_along_axis(rows, kept, 1)
    return rows


def _set_effort(index: Any, kind: str, queries: Vectors, best: npt.NDArray[np.int64]) -> Built:
    """The index with the least effort, by doubling, that finds enough; all of it where nothing less does."""
    most = index.nlist if kind == "ivfpq" else index.ntotal
    effort = min(16 if kind == "ivfpq" else 2 * BEST, most)
    while True:
        found = [candidates(index, query, BEST, effort) for query in queries]
        hits = [np.isin(rows, got).mean() for rows, got in zip(best, found, strict=True)]
        recall = float(np.mean(hits))
        if recall >= WANTED or effort >= most:
            return Built(index=index, kind=kind, effort=effort, recall=recall)
        effort = min(2 * effort, most)


def write_built(location: Path, built: Built) -> dict[str, Any]:
    """Write the index; returns what the manifest keeps.

    Raises:
        OSError: the disk is full or read-only.
    """
    recall = round(built.recall, 4)
    file = write_index(location, JOINT, built.index)
    return {**file, "kind": built.kind, "effort": built.effort, "recall": recall}


def read_built(location: Path, kept: dict[str, Any], count: int, dimension: int) -> tuple[Any, int]:
    """The index and the effort of its searches.

    Raises:
        FileNotFoundError: it is gone; a newer index may have been published meanwhile.
        BadInput: it is damaged.
    """
    effort = kept.get("effort")
    most = (4 * dimension + 1024) * (count + 65_536)
    index, _ = read_index(location, kept, JOINT, most, (HNSW, IVFPQ, SQ8))
    fits = (index.ntotal, index.d) == (count, dimension) and parts_fit(index, count)
    if not fits or not isinstance(effort, int) or not 1 <= effort <= count:
        raise damaged(location, f"{kept['file']} does not fit the manifest")
    if not stays_inside(index, count):
        raise damaged(location, f"{kept['file']} leads outside itself")
    return index, effort


def _is_in(row: int, rows: npt.NDArray[np.int64]) -> bool:
    place = int(np.searchsorted(rows, row))
    return place < len(rows) and rows[place] == row


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
