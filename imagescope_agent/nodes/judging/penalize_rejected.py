"""Penalty on images similar to what was rejected before, or is excluded by a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.errors import shorten
from imagescope_agent.records import note
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.retrieval.vectors import Vectors
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Candidate, State

WIDER = 3  # times as many images are found, so that others can take the places of those that fall


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
        vectors = [self.collection.image_vector(name) for name in rejected]
        similarity = likeness([each["id"] for each in state["candidates"]], vectors, self.collection)
        out = sorted(self.collection.alike(rejected))
        ranked = penalized(state["candidates"], out, similarity, weight=settings.penalty)
        least = min(len(ranked), settings.k)
        kept = ranked[: max(least, round(len(ranked) * settings.shrink ** len(rejected)))]
        return {
            "candidates": kept,
            "ranking_retrieve": [candidate["id"] for candidate in kept],
            "notes": notes,
        }


def search_unlike(
    search: Callable[[int, list[str]], list[tuple[str, float]]],
    most: int,
    state: State,
    settings: Settings,
    embedder: Embedder,
    collection: Collection,
    include: Sequence[str] = (),
) -> list[tuple[str, float]]:
    """The `most` best images of a search, what looks like an excluded picture lowered as after a rejection.

    Args:
        search: gives the best images and their scores, for how many and without which.
        most: how many are wanted.
        state: its `unlike` are ids and files; none changes nothing.
        settings: `penalty` is taken off times the likeness to the nearest of them.
        embedder: gives the vectors of files.
        collection: gives those of ids.
        include: ids that stay, however deep they come.
    """
    unlike = state.get("unlike", [])
    if not unlike:
        return search(most, [])
    found = search(WIDER * most, [name for name in unlike if name in collection])
    vectors = [picture_vector(name, embedder, collection) for name in unlike]
    similarity = likeness([name for name, _ in found], vectors, collection)
    candidates: list[Candidate] = [{"id": name, "retrieve": float(score)} for name, score in found]
    ranked, kept = penalized(candidates, [], similarity, weight=settings.penalty), set(include)
    return [
        (each["id"], each["retrieve"])
        for place, each in enumerate(ranked)
        if place < most or each["id"] in kept
    ]


def picture_vector(name: str, embedder: Embedder, collection: Collection) -> Vectors:
    """The vector of a picture, (1, d): of an id from the index, of a file from the embedder."""
    if name in collection:
        return collection.image_vector(name).reshape(1, -1)
    return embedder.images([collection.reference(name).image])


def likeness(ids: Sequence[str], vectors: Sequence[Vectors], collection: Collection) -> dict[str, float]:
    """The largest cosine of each image with one of the unit vectors."""
    own = {name: collection.image_vector(name).ravel() for name in ids}
    return {name: max(float(vector @ each.ravel()) for each in vectors) for name, vector in own.items()}


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
