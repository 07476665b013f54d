"""At a fixed tau one vector an image is searched: the same images with the same scores as in both spaces."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import pytest

from imagescope_agent.retrieval.protocols import SpaceQuery
from imagescope_agent.retrieval.stores import faiss_flat
from imagescope_agent.retrieval.stores.faiss_flat import FaissFlatStore


def unit(rng: np.random.Generator, *shape: int) -> Any:
    rows = rng.standard_normal(shape, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.mark.parametrize("tau", [0.0, 0.15, 0.5, 1.0])
def test_ids_and_scores_are_those_of_searching_apart(tau: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    indices = {}
    for space in ("image", "caption"):
        rows = unit(rng, 600, 24)
        rows[300:600] = rows[:300]  # copies tie, and come in order of id
        rows[1::7] += 1e-7  # and some are all but copies
        indices[space] = faiss.IndexFlatIP(24)
        indices[space].add(rows)
    ids = [f"{row:04d}" for row in range(600)]
    apart, mixed = FaissFlatStore(ids, indices), FaissFlatStore(ids, indices)
    passes: list[int] = []
    products = faiss_flat._products

    def counted(index: Any, vector: Any, chosen: Any = None) -> Any:
        passes.append(600 if chosen is None else len(chosen))
        return products(index, vector, chosen)

    for number in range(40):
        vector = unit(rng, 24)
        queries = [
            SpaceQuery(space="image", vector=vector, weight=1 - tau),
            SpaceQuery(space="caption", vector=vector, weight=tau),
        ]
        asked: dict[str, Any] = {"exclude": {ids[number]}, "include": {ids[599 - number]}}
        monkeypatch.setattr(faiss_flat, "MANY", 10_000)
        expected = apart.search(queries, 10, **asked)
        monkeypatch.setattr(faiss_flat, "MANY", 1)
        with monkeypatch.context() as patched:
            patched.setattr(faiss_flat, "_products", counted)
            passes.clear()
            assert mixed.search(queries, 10, **asked) == expected
        if (
            number
        ):  # from the second search of a kind on: one whole pass, and few rows compared in both spaces
            assert passes[0] == 600 and all(count < 100 for count in passes[1:])


def test_different_vectors_are_searched_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_flat, "MANY", 1)
    rng = np.random.default_rng(8)
    index = faiss.IndexFlatIP(8)
    index.add(unit(rng, 50, 8))
    store = FaissFlatStore([f"{row:02d}" for row in range(50)], {"image": index})
    for _ in range(3):
        one, other = (SpaceQuery(space="image", vector=unit(rng, 8), weight=weight) for weight in (0.7, 0.3))
        assert store._mixtures.find([one, other]) is None and store._mixtures.find([one]) is None
