"""`imagescope bench indexing`: indexing without captions beside the bare encoder, and what lazy captions find."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.lab.benchmarks.drawn import DrawnQuery, read_queries
from imagescope_agent.lab.benchmarks.machine import describe_machine, machine, peak_memory
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.embedders.late import LateEmbedder
from imagescope_agent.retrieval.images import load
from imagescope_agent.retrieval.index.indexer import BATCH
from imagescope_agent.services import open_embedder_of

GRAPH = "adaptive"


def run(
    *, profile: str = "mini", images: int = 1000, queries: int = 60, repeats: int = 3, seed: int = 0
) -> dict[str, Any]:
    """Index drawn pictures without captions, then search with captions made by searches, and with all of them.

    Args:
        profile: which models.
        images: how many are drawn.
        queries: asked of each index; 0 measures the indexing alone.
        repeats: of the loop and of the indexing, in turn; the fastest counts.
        seed: of what is drawn.

    Returns:
        {"bench", "machine", "images", "queries", "seconds", "cpu_seconds": {"loop", "index"}, "speed": of the loop's by
        processor time, which others on the machine do not change, "captions": how many the searches made, "recall":
        {"none", "first", "again", "reindexed", "all"}: R@1 of `adaptive` without captions, while searches make them,
        asked again, after indexing again, and with all}.

    Raises:
        BackendUnavailable: a model cannot be loaded.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_world(root, seed, images)
        speed = _speed(root, profile, repeats)
        found = _recall(root, profile, queries) if queries else {}
        return {
            "bench": "indexing",
            "images": images,
            "queries": queries,
            **speed,
            **found,
            "machine": {**machine(), **peak_memory()},
        }


def _speed(root: Path, profile: str, repeats: int) -> dict[str, Any]:
    embedder = open_embedder_of(load_profile(profile))
    paths = sorted((root / "images").glob("*.png"))
    _loop(embedder, paths[:BATCH])  # loads the weights
    loops, indices = list[tuple[float, float]](), list[tuple[float, float]]()
    for number in range(repeats):
        loops.append(_timed(lambda: _loop(embedder, paths)))
        out = root / f"bare-{number}"
        indices.append(_timed(lambda out=out: _index(root, profile, "none", out)))  # type: ignore[misc]
    wall, cpu = (
        {
            "loop": round(min(each[place] for each in loops), 3),
            "index": round(min(each[place] for each in indices), 3),
        }
        for place in (0, 1)
    )
    return {"seconds": wall, "cpu_seconds": cpu, "speed": round(cpu["loop"] / cpu["index"], 3)}


def _loop(embedder: LateEmbedder, paths: Sequence[Path]) -> None:
    """Read and embed, and nothing else, in the batches of the indexer."""
    for start in range(0, len(paths), BATCH):
        embedder.images([load(path).image for path in paths[start : start + BATCH]])


def _recall(root: Path, profile: str, count: int) -> dict[str, Any]:
    """R@1 with captions of different coverage; every index is made of the same pictures."""
    queries = read_queries(root, count)
    none, lazy, whole = (root / name for name in ("none", "lazy", "all"))
    _index(root, profile, "none", none)
    _index(root, profile, "lazy", lazy)
    recall = {"none": _hits(none, profile, queries), "first": _hits(lazy, profile, queries)}
    recall["again"] = _hits(lazy, profile, queries)
    _index(root, profile, None, lazy)
    recall["reindexed"] = _hits(lazy, profile, queries)
    scope = ImageScope.open(lazy, profile=profile)
    made = len(scope.services.collection) - len(scope.services.collection.uncaptioned)
    _index(root, profile, "all", whole)
    recall["all"] = _hits(whole, profile, queries)
    return {"recall": recall, "captions": made}


def _hits(index: Path, profile: str, queries: Sequence[DrawnQuery]) -> float:
    """R@1 in percent."""
    scope = ImageScope.open(index, profile=profile, graph=GRAPH, runs=False)
    hits = [scope.search(each.text, image=each.reference, k=1) for each in queries]
    right = sum(bool(hit) and hit[0].id in each.targets for hit, each in zip(hits, queries, strict=True))
    return round(100 * right / len(queries), 1)


def _index(root: Path, profile: str, captions: str | None, out: Path) -> None:
    index_folder(root / "images", profile=profile, out=out, captions=captions, progress=False)


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    start, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - used


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as text."""
    seconds, cpu = made["seconds"], made["cpu_seconds"]
    lines = [
        f"{made['images']} drawn pictures: read and embedded in {cpu['loop']} s of CPU time ({seconds['loop']} s), "
        f"indexed without captions in {cpu['index']} s ({seconds['index']} s): {made['speed']:.1%} of the loop's speed",
    ]
    if recall := made.get("recall"):
        told = {
            "none": "without captions",
            "first": "while searches make them",
            "again": "the same queries again",
            "reindexed": "and after indexing again",
            "all": "with all captions",
        }
        lines.append(
            f"R@1 of `{GRAPH}`, {made['queries']} queries; searches made {made['captions']} captions"
        )
        lines += [f"  {words:<26}{recall[name]:6.1f}" for name, words in told.items()]
    return "\n".join([*lines, describe_machine(made["machine"])])
