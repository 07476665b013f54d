"""Builds the approximate indices of `faiss_joint`, and sets the effort of their searches.

The effort (efSearch, nprobe, and of IVF-PQ how many candidates are rescored) is the least that finds `WANTED` of the
exact 100 best for queries that are vectors of the collection's last space, as texts are compared with captions, at each
of some weights of that space. Codes of a large collection put more rows between the best ones, which no further list
mends, and more candidates do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from imagescope_agent.retrieval.stores.faiss_files import rows_of
from imagescope_agent.retrieval.stores.faiss_joint import (
    BEST,
    LEAST,
    MOST_OVERSAMPLED,
    OVERSAMPLED,
    Built,
    candidates,
)
from imagescope_agent.retrieval.vectors import Vectors

WANTED = 0.995  # recall that a search is set to
PROBES = 64  # queries that it is measured with at each weight
TAUS = (0.0, 0.15, 1.0)  # weights of the last space in them: pictures alone, the default, captions alone
ROUNDING = 2e-6  # by which products of copies may differ, of the largest
STEP = 1.4  # from one effort to the next
#: Of HNSW. Of a million the probes find 0.992 with it in 80 ms of a core; 0.995 takes 580, comparing all codes 7.
MOST_EFFORT = 12_800
CHUNK = 16_384  # rows that are added at once
SUBVECTOR = 8  # numbers that IVF-PQ codes in a byte
FAST_SUBVECTOR = 4  # numbers that PQ codes in 4 bits
CENTROIDS = 16  # of a code of 4 bits; FAISS learns them from no fewer vectors
PER_LIST = 40  # training vectors for each list of IVF-PQ, as FAISS recommends at least
LINKS, BUILD_EFFORT = 24, 80  # of HNSW
LIST_SHARE = 2  # lists of IVF-PQ for each square root of the number of rows


def build(kind: str, indices: Sequence[faiss.IndexFlatIP]) -> Built:
    """Index the rows of several flat indices side by side.

    Args:
        kind: "hnsw", "ivfpq", "pq4" or "sq8".
        indices: at least one, of the same rows.
    """
    parts = [rows_of(index) for index in indices]
    count, dimension = len(parts[0]), sum(part.shape[1] for part in parts)
    rng = np.random.default_rng(0)
    index = _BUILDERS[kind](count, dimension)
    some = np.sort(rng.permutation(count)[: _training_rows(index)])
    shown = np.concatenate([part[some] for part in parts], axis=1)
    index.train(np.resize(shown, (max(len(shown), CENTROIDS), dimension)))  # repeated where there are few
    for chunk in _chunks(parts):
        index.add(chunk)
    return _set_effort(index, kind, parts, _probes(parts, rng))


def _pq4(count: int, dimension: int) -> Any:
    library: Any = faiss
    index = library.IndexPQFastScan(
        dimension, dimension // _part(dimension, FAST_SUBVECTOR), 4, faiss.METRIC_INNER_PRODUCT
    )
    index.pq.cp.niter, index.pq.cp.min_points_per_centroid = 10, 1
    return index


def _part(dimension: int, most: int) -> int:
    """Numbers of a code: as many as divide the dimension."""
    return next(each for each in range(most, 0, -1) if dimension % each == 0)


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
    size = _part(dimension, SUBVECTOR)
    lists = max(1, min(int(LIST_SHARE * count**0.5), count // PER_LIST))
    bits = 8 if count >= 256 * PER_LIST else 4
    coarse = faiss.IndexFlatIP(dimension)
    index = library.IndexIVFPQ(coarse, dimension, lists, dimension // size, bits, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter = index.pq.cp.niter = 10
    index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1
    return index


_BUILDERS: dict[str, Callable[[int, int], Any]] = {"hnsw": _hnsw, "ivfpq": _ivfpq, "pq4": _pq4, "sq8": _sq8}


def _training_rows(index: Any) -> int:
    return PER_LIST * index.nlist + 256 * PER_LIST if isinstance(index, faiss.IndexIVFPQ) else CHUNK


def _chunks(parts: Sequence[Vectors]) -> Iterator[Vectors]:
    for start in range(0, len(parts[0]), CHUNK):
        yield np.concatenate([part[start : start + CHUNK] for part in parts], axis=1)


def _probes(parts: Sequence[Vectors], rng: np.random.Generator) -> list[Vectors]:
    """Queries (q, d) at each weight: vectors of the last space, where all have its dimension, else of each.

    An image without a caption has zeros there, and asks with its first vector.
    """
    some = rng.permutation(len(parts[0]))[:PROBES]
    alike = all(part.shape[1] == parts[-1].shape[1] for part in parts)
    asked = [part[some] for part in parts]
    if alike:
        said = np.linalg.norm(asked[-1], axis=1, keepdims=True) > 0
        asked = [np.where(said, asked[-1], asked[0])] * len(parts)
    others = len(parts) - 1
    spread = [[*[(1 - tau) / others] * others, tau] for tau in TAUS] if others else [[1.0]]
    return [
        np.concatenate([w * rows for w, rows in zip(weights, asked, strict=True)], axis=1).astype(np.float32)
        for weights in spread
    ]


def _least_of_best(parts: Sequence[Vectors], queries: Vectors) -> Vectors:
    """The least of the `BEST` largest products of each query, less what rounding may take from a copy: (q,)."""
    best = min(BEST, len(parts[0]))
    scores = np.full((len(queries), 0), 0, dtype=np.float32)
    for chunk in _chunks(parts):
        scores = np.hstack([scores, queries @ chunk.T])
        scores = np.partition(scores, scores.shape[1] - best, axis=1)[:, -best:]
    least: Vectors = scores.min(axis=1) - ROUNDING * np.abs(scores).max(axis=1)
    return least


def _set_effort(index: Any, kind: str, parts: Sequence[Vectors], probes: Sequence[Vectors]) -> Built:
    """The index with the least effort that finds enough at each weight; the most there may be where nothing less does.

    One search tells what each number of candidates finds: they come best first.
    """
    queries = np.concatenate(probes)
    least = _least_of_best(parts, queries)
    most = index.nlist if kind == "ivfpq" else index.ntotal
    if kind == "hnsw":
        most = min(MOST_EFFORT, most)
    effort = min(16 if kind == "ivfpq" else 2 * BEST, most)
    sizes = [OVERSAMPLED]
    while kind == "ivfpq" and sizes[-1] < MOST_OVERSAMPLED:
        sizes.append(2 * sizes[-1])
    while True:
        found = [candidates(index, query, BEST, effort, sizes[-1]) for query in queries]
        reach = [_reach(parts, *each) for each in zip(found, queries, least, strict=True)]
        for size in sizes:
            first = max(LEAST, size * BEST) if kind == "ivfpq" else index.ntotal
            recall = _recall([each[:first] for each in reach], min(BEST, index.ntotal), len(probes))
            if recall >= WANTED or (effort >= most and size == sizes[-1]):
                return Built(index=index, kind=kind, effort=effort, recall=recall, oversampled=size)
        effort = min(max(effort + 1, int(STEP * effort)), most)


def _reach(
    parts: Sequence[Vectors], rows: npt.NDArray[np.int64], query: Vectors, least: float
) -> npt.NDArray[np.bool_]:
    """Which rows have a product of at least so much with a query: (m,)."""
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    each = [part[rows] @ asked for part, asked in zip(parts, np.split(query, ends), strict=True)]
    reached: npt.NDArray[np.bool_] = np.sum(each, axis=0) >= least
    return reached


def _recall(reach: Sequence[npt.NDArray[np.bool_]], best: int, weights: int) -> float:
    """The share of the best that is found, at the weight where it is least.

    Copies of the last of the best count as much as itself. A search with fewer candidates than results is exact.

    Args:
        reach: for each query, weight after weight, which candidates score as much as the last of the best.
        best: how many there are.
        weights: how many.
    """
    shares = [1.0 if len(each) < best else min(int(each.sum()), best) / best for each in reach]
    return float(np.reshape(shares, (weights, -1)).mean(axis=1).min())
