"""Stage 1 in vectors: the collection's images nearest to what is wanted."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
from langgraph.runtime import Runtime

from imagescope_agent.collection.embed import Embedder, Vectors
from imagescope_agent.collection.index import Collection
from imagescope_agent.ledger import spent
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State


class Retrieve:
    """The mean over three descriptions d of (1-tau)*cos(d, image) + tau*cos(d, caption)."""

    def __init__(self, embedder: Embedder, collection: Collection) -> None:
        self.embedder, self.collection = embedder, collection

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `candidates` and `ranking_retrieve`: the max(top_k, k) best images."""
        intent = state["intent"]
        texts = [intent["core"], intent["enhanced"], intent["full"]]
        return await asyncio.to_thread(self._search, texts, state.get("reference"), current(runtime))

    def _search(self, texts: list[str], reference: str | None, settings: Settings) -> dict[str, Any]:
        start = time.perf_counter()
        return _ranked(self.collection, self.embedder, self.embedder.texts(texts), reference, settings, start)


class RetrievePlain:
    """The baseline without a chat model: the query's own words, half way to the reference if there is one.

    Text and reference image are joined as the mean of their unit vectors, brought back to unit length: the
    usual training-free baseline for composed retrieval.
    """

    def __init__(self, embedder: Embedder, collection: Collection) -> None:
        self.embedder, self.collection = embedder, collection

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `candidates` and `ranking_retrieve`: the max(top_k, k) best images.

        Raises:
            ImageProblem: the reference cannot be read.
        """
        return await asyncio.to_thread(self._search, state["query"], state.get("reference"), current(runtime))

    def _search(self, text: str, reference: str | None, settings: Settings) -> dict[str, Any]:
        start = time.perf_counter()
        vectors = self._query(text, reference)
        return _ranked(self.collection, self.embedder, vectors, reference, settings, start)

    def _query(self, text: str, reference: str | None) -> Vectors:
        if reference is None:
            return self.embedder.texts([text])
        if (compose := getattr(self.embedder, "compose", None)) is not None:
            together: Vectors = compose([self.collection.reference(reference).image], [text])
            return together
        vectors = self.embedder.texts([text])
        return _unit(vectors + self._image_vector(reference), otherwise=vectors)

    def _image_vector(self, reference: str) -> Vectors:
        if reference in self.collection:
            return self.collection.image_vector(reference)
        return self.embedder.images([self.collection.reference(reference).image])


def _ranked(
    collection: Collection,
    embedder: Embedder,
    vectors: Vectors,
    reference: str | None,
    settings: Settings,
    start: float,
) -> dict[str, Any]:
    collection.require_weights(embedder.weights)
    exclude = [reference] if reference is not None and not settings.keep_reference else []
    most = max(settings.top_k, settings.k)
    found = collection.search(
        vectors, settings.tau, most, exclude=collection.alike(exclude), once=collection.merges_copies
    )
    return {
        "candidates": [{"id": name, "retrieve": float(score)} for name, score in found],
        "ranking_retrieve": [name for name, _ in found],
        "usage": [spent("retrieve", "embedder", {"seconds": time.perf_counter() - start})],
    }


def _unit(rows: Vectors, *, otherwise: Vectors) -> Vectors:
    """Rows of unit length; a row that cancelled out to nothing is taken from `otherwise`."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = np.where(norms > 1e-6, rows / np.maximum(norms, 1e-6), otherwise).astype(np.float32)
    return unit
