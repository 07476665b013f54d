"""`imagescope bench load`: searches that arrive at random times: how long they take, and how fairly they are served."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.lab.benchmarks.arrivals import percentile, poisson, serve, slowdowns, token_slowdowns
from imagescope_agent.lab.benchmarks.drawn import DrawnQuery, clear_caches, read_queries, tokens_of
from imagescope_agent.lab.benchmarks.machine import describe_machine, machine
from imagescope_agent.lab.scenes.make import make_world


def run(
    *,
    root: Path | None = None,
    profile: str = "mini",
    graph: str = "imagescope",
    images: int = 64,
    searches: int = 16,
    rate: float = 0.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Search one after another, then as searches arrive, from empty caches.

    Args:
        root: a folder of drawn scenes (`imagescope scenes make`); drawn anew when None.
        profile: which models.
        graph: which system.
        images: how many are drawn.
        searches: how many arrive.
        rate: arrivals a second on average, at random times; 0 for all at once.
        seed: of the scenes and the times.

    Returns:
        {"bench", "machine", "searches", "rate", "alone": seconds of all alone, "end": seconds until the last ended,
        "seconds": {"p50", "p95", "p99", "max"}, "slowdown": {"p50", "max"}}: seconds over the fair share;
        "token_slowdown": the same with the models' tokens as the clock, which other load does not change, where local
        models serve.

    Raises:
        BadInput: no drawn scenes there, or fewer queries than searches.
        BackendUnavailable: a model cannot be loaded.
    """
    if root is not None:
        return _measured(root, profile, graph, searches, rate, seed)
    with tempfile.TemporaryDirectory() as folder:
        make_world(Path(folder), seed, images)
        return _measured(Path(folder), profile, graph, searches, rate, seed)


def _measured(root: Path, profile: str, graph: str, searches: int, rate: float, seed: int) -> dict[str, Any]:
    queries = read_queries(root, searches)
    index_folder(root / "images", profile=profile, progress=False)
    scope = ImageScope.open(root / "images", profile=profile, graph=graph, runs=False)
    return {
        "bench": "load",
        "machine": machine(),
        "weights": scope.services.weights,
        **measure(scope, queries, poisson(searches, rate, seed)),
        "rate": rate,
    }


def measure(scope: ImageScope, queries: Sequence[DrawnQuery], arrivals: Sequence[float]) -> dict[str, Any]:
    """The figures of `run` for queries that arrive at the given times."""

    async def search(query: DrawnQuery) -> None:
        await scope.asearch(query.text, image=query.reference)

    asyncio.run(search(queries[0]))  # loads the weights
    works, read = list[float](), list[float]()
    for query in queries:
        clear_caches(scope.services)
        start, before = time.perf_counter(), tokens_of(scope.services)
        asyncio.run(search(query))
        works.append(time.perf_counter() - start)
        read.append(tokens_of(scope.services) - before)
    clear_caches(scope.services)
    served = asyncio.run(serve(queries, arrivals, search, lambda: tokens_of(scope.services)))
    slower = slowdowns(served, works)
    counted = token_slowdowns(served, read) if min(read) > 0 else []
    return {
        "searches": len(queries),
        "alone": round(sum(works), 2),
        "end": round(served.end, 2),
        "seconds": {
            **{f"p{share}": round(percentile(served.seconds, share / 100), 2) for share in (50, 95, 99)},
            "max": round(max(served.seconds), 2),
        },
        "slowdown": {"p50": round(percentile(slower, 0.5), 2), "max": round(max(slower), 2)},
        "token_slowdown": {"p50": round(percentile(counted, 0.5), 2), "max": round(max(counted), 2)}
        if counted
        else None,
    }


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as text."""
    seconds, slower = made["seconds"], made["slowdown"]
    arriving = f"{made['rate']} a second" if made["rate"] else "all at once"
    return "\n".join(
        [
            f"{made['searches']} searches arriving {arriving}; one after another they take {made['alone']} s",
            f"the last ended after {made['end']} s",
            "  ".join(f"{name} {value} s" for name, value in seconds.items()),
            f"over the fair share: half of them at most {slower['p50']}, the worst {slower['max']}",
            *_by_tokens(made["token_slowdown"]),
            describe_machine(made["machine"]),
        ]
    )


def _by_tokens(slower: Mapping[str, float] | None) -> list[str]:
    if slower is None:
        return []
    return [f"with the models' tokens as the clock: half at most {slower['p50']}, the worst {slower['max']}"]
