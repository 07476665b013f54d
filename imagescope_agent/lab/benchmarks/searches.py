"""`imagescope bench searches`: sequential against concurrent searches: speed-up, and whether rankings agree."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.lab.benchmarks.drawn import DrawnQuery, clear_caches, read_queries
from imagescope_agent.lab.benchmarks.machine import describe_machine, machine, peak_memory
from imagescope_agent.lab.scenes.make import make_world

IMAGES = 64


def run(
    *, root: Path | None = None, profile: str = "mini", searches: int = 16, seed: int = 0
) -> dict[str, Any]:
    """Search sequentially, then concurrently, each time from empty caches.

    Args:
        root: a folder of drawn scenes (`imagescope scenes make`); drawn anew when None.
        profile: which models.
        searches: how many, with and without reference images in turn.
        seed: of the scenes that are drawn.

    Returns:
        {"bench", "machine", "searches", "images", "seconds": {"alone", "together"}, "ratio", "same_rankings"}.

    Raises:
        BadInput: no drawn scenes there, or fewer queries than searches.
        BackendUnavailable: a model cannot be loaded.
    """
    if root is not None:
        return _measured(root, profile, searches)
    with tempfile.TemporaryDirectory() as folder:
        make_world(Path(folder), seed, IMAGES)
        return _measured(Path(folder), profile, searches)


def _measured(root: Path, profile: str, searches: int) -> dict[str, Any]:
    queries = read_queries(root, searches)
    index_folder(root / "images", profile=profile, progress=False)
    scope = ImageScope.open(root / "images", profile=profile, runs=False)
    asyncio.run(_one(scope, queries[0]))  # loads the weights
    seconds: dict[str, float] = {}
    rankings: dict[str, list[list[str]]] = {}
    for name, search in {"alone": _alone, "together": _together}.items():
        clear_caches(scope.services)
        start = time.perf_counter()
        rankings[name] = asyncio.run(search(scope, queries))
        seconds[name] = round(time.perf_counter() - start, 2)
    same = sum(one == other for one, other in zip(rankings["alone"], rankings["together"], strict=True))
    return {
        "bench": "searches",
        "machine": {**machine(), **peak_memory()},
        "weights": scope.services.weights,
        "searches": searches,
        "images": len(scope.services.collection.ids),
        "seconds": seconds,
        "ratio": round(seconds["alone"] / seconds["together"], 2),
        "same_rankings": same,
    }


async def _alone(scope: ImageScope, queries: list[DrawnQuery]) -> list[list[str]]:
    return [await _one(scope, query) for query in queries]


async def _together(scope: ImageScope, queries: list[DrawnQuery]) -> list[list[str]]:
    return list(await asyncio.gather(*(_one(scope, query) for query in queries)))


async def _one(scope: ImageScope, query: DrawnQuery) -> list[str]:
    found = await scope.asearch(query.text, image=query.reference, k=IMAGES)
    return [hit.id for hit in found]


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as text."""
    seconds, count = made["seconds"], made["searches"]
    lines = [
        f"{count} searches of {made['images']} images",
        f"one after another  {seconds['alone']:>8} s",
        f"all at once        {seconds['together']:>8} s",
        f"{made['ratio']} times sooner, {made['same_rankings']} of {count} rankings the same",
        describe_machine(made["machine"]),
    ]
    return "\n".join(lines)
