"""The engines of vector stores asked directly, for the share of a search that is the product's own."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np

from imagescope_agent.retrieval.protocols import StoreBackend, StoredSpace, VectorStore
from imagescope_agent.retrieval.stores import milvus, pgvector, postgres
from imagescope_agent.retrieval.stores.faiss_files import read_flat, rows_of
from imagescope_agent.retrieval.stores.faiss_joint import JOINT, candidates, read_built
from imagescope_agent.retrieval.stores.rescored import MARGIN
from imagescope_agent.retrieval.vectors import Vectors

Search = Callable[[Vectors], Any]
WARM = 3  # searches before those that count


class Timed(NamedTuple):
    """What a search found, its seconds, and those that this process worked meanwhile."""

    found: Any
    seconds: float
    worked: float


def in_turn(search: Search, bare: Search, queries: Vectors) -> tuple[list[Timed], list[Timed]]:
    """Two ways of searching, each query in both, so that other work on the machine meets them alike."""
    ours, alone = list[Timed](), list[Timed]()
    for number, query in enumerate(np.concatenate([queries[:WARM], queries])):
        turns = [(search, ours), (bare, alone)]
        for ask, kept in turns[
            :: -1 if number % 2 else 1
        ]:  # neither always finds in memory what the other read
            start, before = time.perf_counter(), time.process_time()
            found = ask(query)
            kept.append(Timed(found, time.perf_counter() - start, time.process_time() - before))
    return ours[WARM:], alone[WARM:]


def _faiss(
    backend: StoreBackend, store: VectorStore, place: Path, stored: Sequence[StoredSpace], k: int, tau: float
) -> Search:
    """Exact: IndexFlatIP over the mixture of both spaces; else the approximate index and the products of its rows."""
    count, size = len(store._rows), stored[0].dimension  # type: ignore[attr-defined]
    flat = [read_flat(place, count, each) for each in stored]
    joint = stored[0].kept.get(JOINT)
    if joint is None:
        mixed = faiss.IndexFlatIP(size)
        for start in range(0, count, 65_536):
            parts = [rows_of(index)[start : start + 65_536] for index in flat]
            mixed.add(np.ascontiguousarray((1 - tau) * parts[0] + tau * parts[1], dtype=np.float32))
        return lambda query: mixed.search(query[None], k)
    index, effort = read_built(place, joint, count, 2 * size)

    def search(query: Vectors) -> Any:
        rows = candidates(index, _both(query, tau), k, *effort)
        scores = sum(
            weight * (each.reconstruct_batch(rows) @ query)
            for weight, each in zip((1 - tau, tau), flat, strict=True)
        )
        return rows[np.argsort(-np.asarray(scores))[:k]]

    return search


def _milvus(
    backend: Any, store: VectorStore, place: Path, stored: Sequence[StoredSpace], k: int, tau: float
) -> Search:
    """MilvusClient.search for ids, with the effort that the product asks for."""
    client, table = backend._client(place), str(stored[0].kept["table"])
    effort = {"ef": max(milvus.LEAST_EFFORT, milvus.EFFORT * (k + MARGIN)), "nprobe": milvus.PROBES}
    told = {"metric_type": "IP", "params": effort}
    return lambda query: client.search(table, data=[_both(query, tau)], limit=k, search_params=told)


def _pgvector(
    backend: Any, store: VectorStore, place: Path, stored: Sequence[StoredSpace], k: int, tau: float
) -> Search:
    """SELECT ... ORDER BY ... LIMIT for ids, with the effort that the product asks for."""
    from pgvector import Vector

    base, table, size = postgres.connect(backend._url), stored[0].kept["table"], 2 * stored[0].dimension
    distance = "joint <#> %s::vector"
    if stored[0].kept["index"] == "hnsw":
        distance = f"(joint::halfvec({size})) <#> %s::vector::halfvec({size})"
        effort = min(max(pgvector.LEAST_EFFORT, pgvector.EFFORT * (k + MARGIN)), pgvector.MOST_INDEXED)
        base.execute(f"SET hnsw.ef_search = {effort}")
        base.execute("SET enable_seqscan = off")
    sql = f"SELECT row FROM {table} ORDER BY {distance} LIMIT {k}"
    weakref.finalize(store, base.close)
    return lambda query: base.execute(sql, (Vector(_both(query, tau)),)).fetchall()


def _both(query: Vectors, tau: float) -> Vectors:
    return np.concatenate([np.float32(1 - tau) * query, np.float32(tau) * query])


#: By kind of store: (backend, opened store, folder, spaces, k, tau) -> a search of the engine.
BARE: dict[str, Callable[..., Search]] = {"faiss": _faiss, "milvus": _milvus, "pgvector": _pgvector}
