"""An embedder that reads a picture and words together, made to read them apart: what a composer is compared with."""

from __future__ import annotations

from imagescope_agent.retrieval.protocols import Embedder


class Apart:
    """An embedder that reads pictures and texts apart, whatever else it could.

    Args:
        embedder: makes the vectors.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.weights, self.dimension = embedder.weights, embedder.dimension
        self.images, self.texts = embedder.images, embedder.texts
