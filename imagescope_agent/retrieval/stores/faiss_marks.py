"""Checks of an approximate index in a FAISS file, before FAISS reads it (it may name other files) and after.

The places are those of `faiss/impl/index_write.cpp`. A vector there is its number of items, 8 bytes, and the items.
"""

from __future__ import annotations

import struct
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

HNSW, IVFPQ, PQ4, SQ8 = b"IHNs", b"IwPQ", b"IPfs", b"IxSQ"
_OUTER = 4 + 33  # a mark, and dimension, number of rows, two unused numbers, is_trained, metric
_METRIC = 33  # where the metric lies: 0, inner product, has no argument
_GRAPH = (8, 4, 4, 8, 4)  # bytes of an item: probabilities, sums of links, levels, offsets, links
_FLAT, _LISTS = b"IxFI", b"ilar"


class _Place:
    """A place in a file that moves on.

    Raises (every method):
        struct.error: the file ends before.
    """

    def __init__(self, data: npt.NDArray[np.uint8]) -> None:
        self._data, self.at = data, 0

    def skip(self, size: int) -> None:
        self.at += size

    def skip_vector(self, item: int) -> None:
        (count,) = struct.unpack("<Q", self._data[self.at : self.at + 8].tobytes())
        self.at = min(self.at + 8 + item * count, len(self._data))

    def mark(self) -> bytes:
        return self._data[self.at : self.at + 4].tobytes()


def holds_only_ours(data: npt.NDArray[np.uint8]) -> bool:
    """Whether an index is made of what we write: of HNSW scalars, of IVF-PQ a flat quantizer and lists in the file.

    Args:
        data: the file's bytes; one of another mark has nothing inside it.
    """
    place, outer = _Place(data), data[:4].tobytes()
    if outer not in (HNSW, IVFPQ, PQ4, SQ8):
        return True
    if data[_METRIC : _METRIC + 4].tobytes() != bytes(4):
        return False
    if outer in (PQ4, SQ8):  # numbers only
        return True
    place.skip(_OUTER)
    try:
        return _is_ours_hnsw(place) if outer == HNSW else _is_ours_ivfpq(place)
    except struct.error:
        return False


def _is_ours_hnsw(place: _Place) -> bool:
    for item in _GRAPH:
        place.skip_vector(item)
    place.skip(5 * 4)  # entry point, highest level, efforts, a bound that is unused
    return place.mark() == SQ8


def _is_ours_ivfpq(place: _Place) -> bool:
    place.skip(2 * 8)  # lists and probes
    if place.mark() != _FLAT:
        return False
    place.skip(_OUTER)
    place.skip_vector(4)
    place.skip(1)  # kind of the map from rows to lists
    place.skip_vector(8)
    place.skip(
        1 + 8 + 3 * 8
    )  # by_residual, bytes of a code; dimension, parts and bits of the product quantizer
    place.skip_vector(4)
    return place.mark() == _LISTS


def parts_fit(index: Any, count: int) -> bool:
    """Whether the parts of an index that was read are of the kinds and sizes that we write."""
    library: Any = faiss
    if isinstance(index, library.IndexScalarQuantizer):
        return _scalars_fit(index, count)
    if isinstance(index, library.IndexPQFastScan):
        return _blocks_fit(index, count) and _are_numbers(index.pq.centroids)
    if isinstance(index, faiss.IndexHNSW):
        inner, kind, rows = library.downcast_index(index.storage), library.IndexScalarQuantizer, count
    else:
        inner, kind, rows = library.downcast_index(index.quantizer), faiss.IndexFlat, index.nlist
        if not isinstance(library.downcast_InvertedLists(index.invlists), library.ArrayInvertedLists):
            return False
        if not _are_numbers(index.pq.centroids):
            return False
    fits = isinstance(inner, kind) and (inner.ntotal, inner.d) == (rows, index.d)
    return fits and (kind is faiss.IndexFlat or _scalars_fit(inner, count))


def _scalars_fit(index: Any, count: int) -> bool:
    """Whether codes are of 8 bits a number, and of ranges that are numbers."""
    library: Any = faiss
    codes_fit = index.codes.size() == count * index.d and index.sq.trained.size() == 2 * index.d
    return bool(
        codes_fit and index.sq.qtype == library.ScalarQuantizer.QT_8bit and _are_numbers(index.sq.trained)
    )


def _are_numbers(vector: Any) -> bool:
    """Whether all of a vector of FAISS is finite; scores that are not leave rows out."""
    return bool(np.isfinite(array_of(vector, np.float32)).all())


def _blocks_fit(index: Any, count: int) -> bool:
    """Whether codes of 4 bits lie in blocks as FAISS lays them when nothing else is asked of it."""
    library: Any = faiss
    pq, parts = index.pq, index.pq.M
    if parts < 1 or pq.d != index.d or parts * pq.dsub != index.d or pq.nbits != 4:
        return False
    like = library.IndexPQFastScan(index.d, parts, 4, faiss.METRIC_INNER_PRODUCT)
    rows = -(-count // like.bbs) * like.bbs
    alike = all(getattr(index, name) == getattr(like, name) for name in ("bbs", "qbs", "implem", "M2"))
    sizes = (index.ntotal2, index.codes.size(), pq.centroids.size())
    return alike and sizes == (rows, rows * like.M2 // 2, 16 * index.d)


def stays_inside(index: Any, count: int) -> bool:
    """Whether an index names only rows that there are."""
    if isinstance(index, faiss.IndexHNSW):
        return _links_fit(index.hnsw, count)
    return _lists_fit(index, count) if isinstance(index, faiss.IndexIVF) else True


def _links_fit(hnsw: Any, count: int) -> bool:
    """Whether a graph, which may be a stranger's, links only rows that there are."""
    links, places = array_of(hnsw.neighbors, np.int32), array_of(hnsw.offsets, np.uint64)
    levels = array_of(hnsw.levels, np.int32)
    within = len(links) == 0 or (links.min() >= -1 and links.max() < count)
    rising = len(places) == count + 1 and bool((np.diff(places.astype(np.int64)) >= 0).all())
    ended = len(places) > 0 and places[-1] == len(links) and len(levels) == count
    return bool(within and rising and ended and 0 <= hnsw.entry_point < count)


def _lists_fit(index: Any, count: int) -> bool:
    """Whether inverted lists hold each row once."""
    lists = index.invlists
    sizes = [lists.list_size(number) for number in range(index.nlist)]
    if sum(sizes) != count:
        return False
    found = [faiss.rev_swig_ptr(lists.get_ids(number), size) for number, size in enumerate(sizes) if size]
    rows = np.concatenate(found)
    return bool(rows.min() >= 0 and rows.max() < count)


def array_of(vector: Any, kind: Any) -> npt.NDArray[Any]:
    """A vector of FAISS, not copied."""
    size = vector.size()
    return faiss.rev_swig_ptr(vector.data(), size) if size else np.zeros(0, dtype=kind)
