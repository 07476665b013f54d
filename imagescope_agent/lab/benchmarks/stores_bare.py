"""The engines of vector stores asked directly, for the share of a search that is the product's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from imagescope_agent.retrieval.protocols import StoreBackend, StoredSpace, VectorStore
from imagescope_agent.retrieval.stores.faiss_files import read_flat, rows_of
from imagescope_agent.retrieval.stores.faiss_joint import JOINT, candidates, read_built
from imagescope_agent.retrieval.vectors import Vectors

Search = Callable[[Vectors], Any]


def _faiss(
    backend: StoreBackend, store: VectorStore, place: Path, stored: Sequence[StoredSpace], k: int, tau: float
) -> Search:
    """Exact: IndexFlatIP over the mixture of both spaces. Else the approximate index, and the products of its candidates."""
    count, size = len(store._rows), stored[0].dimension  # type: ignore[attr-defined]
    flat = [read_flat(place, count, each) for each in stored]
    joint = stored[0].kept.get(JOINT)
    if joint is None:
        mixed = faiss.IndexFlatIP(size)
        for start in range(0, count, 65_536):
            parts = [rows_of(index)[start : start + 65_536] for index in flat]
            mixed.add(np.ascontiguousarray((1 - tau) * parts[0] + tau * parts[1], dtype=np.float32))
        return lambda query: mixed.search(query[None], k)
    index, effort = read_built(place, joint, count, 2 * size)

    def search(query: Vectors) -> Any:
        both = np.concatenate([np.float32(1 - tau) * query, np.float32(tau) * query])
        rows = candidates(index, both, k, effort)
        scores = sum(
            weight * (each.reconstruct_batch(rows) @ query)
            for weight, each in zip((1 - tau, tau), flat, strict=True)
        )
        return rows[np.argsort(-np.asarray(scores))[:k]]

    return search


BARE: dict[str, Callable[..., Search]] = {"faiss": _faiss}
