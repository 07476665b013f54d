"""Stage 1, retrieval: the images nearest to the descriptions of the target."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
from langgraph.runtime import Runtime

from imagescope_agent.records import NoteDict, spent
from imagescope_agent.retrieval.domain import Domain
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.retrieval.vectors import Vectors
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State


class Retrieve:
    """Retrieves by the mean over the descriptions d of (1-tau)*cos(d, image) + tau*cos(d, caption)."""

    def __init__(self, embedder: Embedder, collection: Collection) -> None:
        self.embedder, self.collection = embedder, collection

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `candidates` and `ranking_retrieve`: the max(top_k, k) best images."""
        reference = state.get("reference")
        found = await asyncio.to_thread(self._search, descriptions(state), reference, current(runtime))
        return {**found, "notes": outside(self.embedder, self.collection, state)}

    def _search(self, texts: list[str], reference: str | None, settings: Settings) -> dict[str, Any]:
        start = time.perf_counter()
        return _ranked(self.collection, self.embedder, self.embedder.texts(texts), reference, settings, start)


class RetrievePlain:
    """The baseline without a chat model: the query's embedding, averaged with that of the reference.

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
        text, reference = state["query"], state.get("reference")
        found = await asyncio.to_thread(self._search, text, reference, current(runtime))
        return {**found, "notes": outside(self.embedder, self.collection, state)}

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


def descriptions(state: State) -> list[str]:
    """The texts that describe the target: three of the intent, and the query's own words where they describe it.

    With a reference the words say what to change; without one they are never lost, whatever a model made of them.
    """
    intent = state["intent"]
    own = [state["query"]] if state.get("reference") is None else []
    return [intent["core"], intent["enhanced"], intent["full"], *own]


def outside(embedder: Embedder, collection: Collection, state: State) -> list[NoteDict]:
    """Notes where the collection (once in a conversation) or the query is unlike what the embedder was trained on."""
    domain: Domain | None = getattr(embedder, "domain", None)
    if domain is None:
        return []
    return domain.notes(collection, state["query"], embedder.weights, once=not state.get("turns"))


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
