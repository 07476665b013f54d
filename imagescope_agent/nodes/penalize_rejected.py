"""Penalty on images that were rejected before, and on images similar to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.errors import shorten
from imagescope_agent.records import note
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Candidate, State


class PenalizeRejected:
    """Remove rejected images, lower the scores of images similar to them, and keep fewer candidates per rejection.

    Args:
        collection: holds the image vectors that similarity is computed from.
    """

    step = "soften"

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `candidates` and `ranking_retrieve` without the rejected; nothing when none was.

        What was rejected but is not in the collection leaves a note.
        """
        named = list(dict.fromkeys(state.get("rejected", [])))
        rejected = [name for name in named if name in self.collection]
        notes = [
            note(self.step, "skipped", f"{shorten(name)!r} was rejected but is not in the collection")
            for name in named
            if name not in self.collection
        ]
        if not rejected:
            return {"notes": notes} if notes else {}
        settings = current(runtime)
        similarity = {
            candidate["id"]: max(self._cosine(candidate["id"], name) for name in rejected)
            for candidate in state["candidates"]
        }
        out = sorted(self.collection.alike(rejected))
        ranked = penalized(state["candidates"], out, similarity, weight=settings.penalty)
        least = min(len(ranked), settings.k)
        kept = ranked[: max(least, round(len(ranked) * settings.shrink ** len(rejected)))]
        return {
            "candidates": kept,
            "ranking_retrieve": [candidate["id"] for candidate in kept],
            "notes": notes,
        }

    def _cosine(self, one: str, other: str) -> float:
        vectors = (self.collection.image_vector(name).ravel() for name in (one, other))
        first, second = vectors
        return float(first @ second)


def penalized(
    candidates: Sequence[Candidate],
    rejected: Sequence[str],
    similarity: Mapping[str, float],
    *,
    weight: float,
) -> list[Candidate]:
    """The candidates that were not rejected, by score minus `weight` times similarity; ties keep their order."""
    kept: list[Candidate] = [
        {"id": each["id"], "retrieve": each["retrieve"] - weight * max(0.0, similarity[each["id"]])}
        for each in candidates
        if each["id"] not in set(rejected)
    ]
    return sorted(kept, key=lambda each: -each["retrieve"])
