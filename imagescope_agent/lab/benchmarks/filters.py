"""`imagescope bench filters`: a filtered search beside the same one without, over made-up vectors and fields."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imagescope_agent.lab.benchmarks.machine import describe_machine, machine, peak_memory
from imagescope_agent.retrieval.metadata.fields import Fields
from imagescope_agent.retrieval.metadata.table import FieldTable, column_of, write_fields
from imagescope_agent.retrieval.protocols import CAPTION, IMAGE, Space, SpaceQuery, StoredSpace, VectorStore
from imagescope_agent.retrieval.stores.faiss_flat import FaissFlatBackend
from imagescope_agent.retrieval.vectors import unit_rows

SHARES = (0.001, 0.01, 0.1, 0.5)  # of the images, that match
CHUNK = 65_536  # vectors that are made at once
CITIES = ("Lima", "Oslo", "Rome", "Tokyo")


def run(
    *, images: int = 1_000_000, dimension: int = 64, k: int = 20, repeats: int = 5, seed: int = 0
) -> dict[str, Any]:
    """Search with and without filters.

    Args:
        images: how many, each with a vector in two spaces, a number and a city.
        dimension: of the vectors.
        k: results of a search.
        repeats: queries; the median counts.
        seed: of vectors, fields and queries.

    Returns:
        {"bench", "machine", "images", "dimension", "k", "open_seconds", "seconds": {"none", share: {"new", "again"}},
        "ratio": by share, "exact": how many filtered rankings are the whole one restricted, "compared"}. "new" is
        with reading the filter and comparing the fields, "again" with a filter that was used before.
    """
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        store, ids = _store(Path(folder), images, dimension, rng)
        start = time.perf_counter()
        fields = _fields(Path(folder), ids, rng)
        opened = time.perf_counter() - start
        return {
            "bench": "filters",
            "images": images,
            "dimension": dimension,
            "k": k,
            "open_seconds": round(opened, 4),
            **_measured(store, fields, ids, dimension, k, repeats, rng),
            "machine": {**machine(), **peak_memory()},
        }


def _store(
    place: Path, images: int, dimension: int, rng: np.random.Generator
) -> tuple[VectorStore, list[str]]:
    ids = [f"{number:08}.jpg" for number in range(images)]
    sizes = [min(CHUNK, images - start) for start in range(0, images, CHUNK)]
    backend, stored = FaissFlatBackend(), list[StoredSpace]()
    for name in (IMAGE, CAPTION):
        space = Space(name=name, dimension=dimension, weights="made up")
        rows = (unit_rows(rng.standard_normal((size, dimension), dtype=np.float32)) for size in sizes)
        stored.append(StoredSpace(**vars(space), kept=backend.write(place, ids, space, rows)))
    return backend.open(place, ids, stored), ids


def _fields(place: Path, ids: list[str], rng: np.random.Generator) -> Fields:
    """Fields that are opened as those of an index are; the writing is part of the time, and small beside the rest."""
    cities = rng.integers(0, len(CITIES), len(ids))
    columns = {
        "number": column_of("number", rng.random(len(ids)).tolist()),
        "city": column_of("text", [CITIES[city] for city in cities]),
    }
    kept = write_fields(place, columns)
    return Fields(place, ids, {}, FieldTable(place, kept, len(ids)))


def _measured(
    store: VectorStore,
    fields: Fields,
    ids: list[str],
    dimension: int,
    k: int,
    repeats: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    queries = []
    for row in unit_rows(rng.standard_normal((repeats, dimension), dtype=np.float32)):
        queries.append(
            [
                SpaceQuery(space=name, vector=row, weight=weight)
                for name, weight in ((IMAGE, 0.85), (CAPTION, 0.15))
            ]
        )
    fields.matching("number < 2 and city = 'Rome'")  # the columns are read
    seconds: dict[str, Any] = {"none": _median(lambda turn: store.search(queries[turn], k), repeats)}
    exact = 0
    for share in SHARES:
        limit = 4 * share if share <= 0.25 else share
        city = " and city = 'Rome'" if share <= 0.25 else ""

        def new(turn: int, limit: float = limit, city: str = city) -> Any:
            where = f"number < {limit + turn * 1e-12:.15f}{city}"
            return store.search(queries[turn], k, allowed=fields.matching(where))

        allowed = fields.matching(f"number < {limit:.15f}{city}")

        def again(turn: int, allowed: Any = allowed) -> Any:
            return store.search(queries[turn], k, allowed=allowed)

        seconds[f"{share:.1%}"] = {"new": _median(new, repeats), "again": _median(again, repeats)}
        exact += sum(
            again(turn) == _restricted(store, queries[turn], k, allowed, ids) for turn in range(repeats)
        )
    whole = seconds["none"]
    ratio = {name: round(each["new"] / whole, 2) for name, each in seconds.items() if name != "none"}
    return {"seconds": seconds, "ratio": ratio, "exact": exact, "compared": len(SHARES) * repeats}


def _restricted(
    store: VectorStore, query: list[SpaceQuery], k: int, allowed: Any, ids: list[str]
) -> list[tuple[str, float]]:
    """The first k of the whole ranking that match."""
    matching = {ids[row] for row in np.flatnonzero(allowed)}
    return [pair for pair in store.search(query, len(ids)) if pair[0] in matching][:k]


def _median(work: Callable[[int], Any], repeats: int) -> float:
    """Seconds of a call, after one that is not counted."""
    work(0)
    found = []
    for turn in range(repeats):
        start = time.perf_counter()
        work(turn)
        found.append(time.perf_counter() - start)
    return round(statistics.median(found), 5)


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as text."""
    seconds, whole = made["seconds"], made["seconds"]["none"]
    lines = [
        f"{made['images']} images, {made['dimension']} numbers a vector, two spaces, the {made['k']} best",
        f"no filter       {1000 * whole:8.1f} ms",
    ]
    for share, ratio in made["ratio"].items():
        new, again = (1000 * seconds[share][name] for name in ("new", "again"))
        lines.append(
            f"{share:>6} match    {new:8.1f} ms, {ratio:.2f} of that; the same filter again {again:.1f} ms"
        )
    lines += [
        f"{made['exact']} of {made['compared']} filtered rankings are the whole one restricted to what matches",
        describe_machine(made["machine"]),
    ]
    return "\n".join(lines)
