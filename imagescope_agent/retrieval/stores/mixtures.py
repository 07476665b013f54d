"""One vector an image for searches that weigh several spaces always alike, as every search at a fixed tau does.

The weighted sum of the inner products of one query with an image's vectors is, but for rounding, the inner product with
their weighted sum: searching takes one pass instead of one a space.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import faiss
import numpy as np

from imagescope_agent.retrieval.protocols import SpaceQuery
from imagescope_agent.retrieval.stores.faiss_files import rows_of
from imagescope_agent.retrieval.vectors import Vectors

ROWS = 65_536  # that are summed at once


class Mixtures:
    """The last mixture of spaces that was searched twice in a row, as a FAISS index.

    Args:
        indices: of the spaces, by name; all have the same rows.
    """

    def __init__(self, indices: Mapping[str, faiss.IndexFlatIP]) -> None:
        self._indices = indices
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget the mixture: vectors have changed."""
        self._asked: tuple[Any, ...] = ()
        self._made: tuple[tuple[Any, ...], faiss.IndexFlatIP] | None = None

    def find(self, queries: Sequence[SpaceQuery]) -> tuple[faiss.IndexFlatIP, Vectors] | None:
        """An index and a query whose inner products are the weighted sums; None where spaces are searched apart.

        That is so for one space, for queries of different vectors, and the first time that spaces are weighed so.
        """
        first = queries[0].vector
        if len(queries) < 2 or not all(np.array_equal(each.vector, first) for each in queries[1:]):
            return None
        key = tuple((each.space, each.weight) for each in queries)
        with self._lock:
            if self._made is None or self._made[0] != key:
                if self._asked != key:
                    self._asked = key
                    return None
                self._made = key, self._mix(queries)
            return self._made[1], first

    def _mix(self, queries: Sequence[SpaceQuery]) -> faiss.IndexFlatIP:
        parts = [(each.weight, rows_of(self._indices[each.space])) for each in queries]
        count, dimension = parts[0][1].shape
        mixed = faiss.IndexFlatIP(dimension)
        for start in range(0, count, ROWS):
            chunk = np.sum(
                [weight * rows[start : start + ROWS].astype(np.float64) for weight, rows in parts], axis=0
            )
            mixed.add(np.ascontiguousarray(chunk, dtype=np.float32))
        return mixed
