"""`imagescope bench stores`: vector stores side by side over made-up vectors in two spaces, as searches ask them."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.errors import BadInput, ImageScopeError, suggest
from imagescope_agent.lab.benchmarks.machine import describe_machine, machine, peak_memory
from imagescope_agent.lab.benchmarks.stores_bare import BARE, WARM, Timed, in_turn
from imagescope_agent.lab.benchmarks.stores_world import CHUNK, SPACES, TAU, World, chunks, made_up
from imagescope_agent.retrieval.protocols import Space, SpaceQuery, StoredSpace, VectorStore
from imagescope_agent.retrieval.stores import open_store
from imagescope_agent.retrieval.stores.joint import write_spaces
from imagescope_agent.retrieval.vectors import Vectors

ROWS = {  # name: (kind of store, index)
    "faiss exact": ("faiss", "exact"),
    "faiss hnsw": ("faiss", "hnsw"),
    "faiss ivfpq": ("faiss", "ivfpq"),
    "faiss pq4": ("faiss", "pq4"),
    "faiss sq8": ("faiss", "sq8"),
    "milvus exact": ("milvus", "exact"),
    "milvus hnsw": ("milvus", "hnsw"),
    "milvus ivf": ("milvus", "ivfpq"),
    "pgvector exact": ("pgvector", "exact"),
    "pgvector hnsw": ("pgvector", "hnsw"),
}
FILE = "stores.json"
KEYS = (
    *("build_seconds", "open_seconds", "memory_gb", "disk_gb"),
    *("p50_ms", "p95_ms", "cpu_ms", "recall", "bare_p50_ms", "overhead"),
)


def run(  # over forty lines for its arguments
    *,
    images: int = 5000,
    dimension: int = 512,
    queries: int = 100,
    k: int = 100,
    row: Sequence[str] | None = None,
    pgvector: str | None = None,
    seed: int = 0,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Build, open and search each store over the same vectors.

    Args:
        images: how many, each with a vector in two spaces.
        dimension: of the vectors.
        queries: asked one after another, the first of them once before it counts.
        k: results of a search, of which the recall is measured.
        row: only these of `ROWS`.
        pgvector: postgresql:// URL of a database for that store; None leaves it out.
        seed: of vectors and queries.
        keep: a folder where the measurement is after each row, and where the same call goes on; what is measured is
            told on standard error, as hours may pass.

    Raises:
        BadInput: there is no such row, or the folder holds another measurement.

    Returns:
        {"bench", "images", "dimension", "k", "rows": name -> seconds, memory, latency, the processor's time for a
        search in this process (other work on the machine adds nothing to it), recall and overhead over the bare
        engine, or {"skipped": why}, "machines": name -> where and under which load it was measured, "machine"}.
    """
    wanted = list(row or ROWS)
    if unknown := [name for name in wanted if name not in ROWS]:
        raise BadInput(f"there is no row {unknown[0]!r}; {suggest(unknown[0], ROWS)}")
    about = {
        "bench": "stores",
        "images": images,
        "dimension": dimension,
        "queries": queries,
        "k": k,
        "seed": seed,
    }
    rows, machines = ({}, {}) if keep is None else kept_rows(keep, about)
    left = [name for name in wanted if "skipped" in rows.get(name, {"skipped": ""})]

    def made() -> dict[str, Any]:
        return {**about, "rows": rows, "machines": machines, "machine": {**machine(), **peak_memory()}}

    with tempfile.TemporaryDirectory() as folder:
        if left:
            tqdm.write(f"drawing {images} vectors in each of two spaces", file=sys.stderr)
            world = made_up(Path(folder), images, dimension, queries, k, np.random.default_rng(seed))
        for name in left:
            tqdm.write(f"{name}: building, opening, searching", file=sys.stderr)
            rows[name] = _row(world, name, Path(folder), pgvector, k)
            machines[name] = machine()
            tqdm.write(f"{name}: {rows[name]}", file=sys.stderr)
            if keep is not None:
                write_atomic(keep / FILE, json.dumps(made(), indent=1) + "\n")
    return made()


def kept_rows(keep: Path, about: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of an earlier call, and the machine of each, where it was kept.

    Raises:
        BadInput: the folder holds the measurement of other vectors or queries, or cannot be used.
    """
    try:
        keep.mkdir(parents=True, exist_ok=True)
        found = json.loads((keep / FILE).read_bytes())
        if all(found[name] == value for name, value in about.items()):
            return dict(found["rows"]), dict(found.get("machines", {}))
    except FileNotFoundError:
        return {}, {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"cannot use {str(keep)!r}: {error}; name a new folder with --keep") from error
    raise BadInput(f"{str(keep / FILE)!r} is of other vectors or queries; name a new folder with --keep")


def _row(world: World, name: str, folder: Path, pgvector: str | None, k: int) -> dict[str, Any]:
    """What is measured of a row, or why it is not."""
    kind, index = ROWS[name]
    if kind == "pgvector" and pgvector is None:
        return {"skipped": "give --pgvector postgresql://..., an empty database"}
    place = folder / name.replace(" ", "-")
    place.mkdir()
    spec = {"faiss": "faiss", "milvus": f"milvus:{place / 'vectors.db'}"}.get(kind, f"{kind}:{pgvector}")
    try:
        return _measured(world, kind, spec, index, place, k)
    except ImageScopeError as error:
        return {"skipped": str(error)}
    finally:
        shutil.rmtree(place, ignore_errors=True)  # a million vectors are gigabytes


def _measured(world: World, kind: str, spec: str, index: str, place: Path, k: int) -> dict[str, Any]:
    backend = open_store(spec)
    size = world.queries.shape[1]
    spaces = [Space(name=name, dimension=size, weights="made up") for name in SPACES]
    told: list[str] = []
    start = time.perf_counter()
    kept = write_spaces(
        backend, place, world.ids, spaces, [chunks(world.vectors[each.name]) for each in spaces],
        index=index, tell=told.append,
    )  # fmt: skip
    built = time.perf_counter() - start
    stored = [StoredSpace(**vars(space), kept=each) for space, each in zip(spaces, kept, strict=True)]
    before, start = _own_memory(), time.perf_counter()
    store = backend.open(place, world.ids, stored)
    opened = time.perf_counter() - start
    search = partial(_rows, store, k)
    _read_through(place)
    for query in world.queries[:WARM]:
        search(query)
    held = _own_memory() - before
    ours, alone = in_turn(search, BARE[kind](backend, store, place, stored, k, TAU), world.queries)
    backend.tidy(place, kept)  # what lies in `place` goes with the folder, what lies in a database here
    disk = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    backend.tidy(place, [])
    return {
        "build_seconds": round(built, 1),
        "open_seconds": round(opened, 3),
        "memory_gb": round(held / 1e9, 3),
        "disk_gb": round(disk / 1e9, 3),
        **_compared(ours, alone, world.best),
        "told": told,
    }


def _read_through(place: Path) -> None:
    """Read all files once: mapped ones are in memory then, where they fit, as they are after many searches."""
    for path in place.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(CHUNK * 1024):
                    pass


def _compared(ours: Sequence[Timed], alone: Sequence[Timed], wanted: Any) -> dict[str, float]:
    """Seconds, recall, and the overhead over the bare engine."""
    hits = [
        len(set(each.found) & set(best.tolist())) / len(best) for each, best in zip(ours, wanted, strict=True)
    ]
    seconds = [each.seconds for each in ours]
    p50, bare_p50 = statistics.median(seconds), statistics.median(each.seconds for each in alone)
    return {
        "p50_ms": round(1000 * p50, 2),
        "p95_ms": round(1000 * float(np.quantile(seconds, 0.95)), 2),
        "cpu_ms": round(1000 * statistics.fmean(each.worked for each in ours), 2),
        "recall": round(float(np.mean(hits)), 4),
        "bare_p50_ms": round(1000 * bare_p50, 2),
        "overhead": round(p50 / bare_p50, 2),
    }


def _rows(store: VectorStore, k: int, query: Vectors) -> list[int]:
    weighed = zip(SPACES, (1 - TAU, TAU), strict=True)
    queries = [SpaceQuery(space=name, vector=query, weight=weight) for name, weight in weighed]
    return [int(name[:8]) for name, _ in store.search(queries, k)]


def _own_memory() -> int:
    """Bytes of this process that no file backs; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next(
        (1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")), 0
    )


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as text."""
    lines = [
        f"{made['images']} images, {made['dimension']} numbers a vector, two spaces, the {made['k']} best"
    ]
    lines.append(f"{'':15}" + "".join(f"{key:>14}" for key in KEYS))
    for name, row in made["rows"].items():
        told = row.get("skipped")
        lines.append(
            f"{name:15}"
            + (f" skipped: {told}" if told else "".join(f"{row.get(key, '-'):>14}" for key in KEYS))
        )
    for name, where in made["machines"].items():  # a row may be of an earlier call
        lines.append(f"{name}: {describe_machine(where)}")
    return "\n".join([*lines, f"this call: {describe_machine(made['machine'])}"])
