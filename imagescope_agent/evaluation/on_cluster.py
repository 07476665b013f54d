"""A data set's queries answered by actors of a Ray cluster that each hold the opened graph.

One process stores what comes back, each query once, as it does with its own models. Every node must see the data set at
the same path.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from tqdm import tqdm

from imagescope_agent.cluster.connection import answering, on_actors, slots
from imagescope_agent.cluster.telling import error_of, node_id, telling, told_error
from imagescope_agent.errors import ImageScopeError
from imagescope_agent.evaluation.datasets.base import Benchmark, BenchmarkQuery
from imagescope_agent.evaluation.run_store import RunStore
from imagescope_agent.evaluation.runner import System, answer_queries
from imagescope_agent.runs.run_graph import run_sync

AT_ONCE = 32  # queries that an actor answers at a time, at most: its models merge their requests into batches
TURNS = 4  # times that an actor gets some, at least, so that a slow one does not hold up the end

#: Opens the data set and the system on a node.
Opener = Callable[[], tuple[Benchmark, Sequence[BenchmarkQuery], System]]


def answer_on_cluster(
    ray: Any, name: str, queries: Sequence[BenchmarkQuery], opener: Opener, store: RunStore, *, progress: bool
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """As `runner.answer_queries`, on a cluster; also how many queries each node answered.

    Raises:
        BackendUnavailable: a model or the cluster failed; the answers so far are stored.
    """
    units: dict[str, list[str]] = {}
    for query in queries:
        if query.qid not in store.records:
            units.setdefault(query.unit, []).append(query.qid)
    nodes = Counter[str]()
    with answering():
        count = slots(ray)[0]
    each = max(1, min(AT_ONCE, len(units) // (TURNS * count)))
    waiting = list(units.values())
    rows = [
        {"number": start, "qids": json.dumps(waiting[start : start + each])}
        for start in range(0, len(waiting), each)
    ]
    options: dict[str, Any] = {"total": len(queries), "initial": len(store.records), "unit": "query"}
    with answering(), tqdm(**options, desc=name, disable=None if progress else True, leave=False) as bar:
        for row in on_actors(ray, rows, _Actor, (opener,)):
            told = json.loads(row["told"])
            for record in told["records"]:
                store.append(record)
                bar.update()
            nodes[told["node"]] += len(told["records"])
            if told["error"]:
                raise error_of(told["error"])
    return store.finish(query.qid for query in queries), nodes


class _Kept:
    """Records of some queries, in memory; as `RunStore` for `answer_queries`."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}

    def append(self, record: dict[str, Any]) -> None:
        self.records[record["qid"]] = record

    def finish(self, order: Iterable[str]) -> list[dict[str, Any]]:
        return [self.records[qid] for qid in order]


class _Actor:
    """Answers queries on a node, with models that stay open."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener

    @cached_property
    def _opened(self) -> tuple[Benchmark, dict[str, BenchmarkQuery], System]:
        benchmark, queries, system = self._opener()
        return benchmark, {query.qid: query for query in queries}, system

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row with the ids of queries, those of a dialog together -> one with their records."""
        kept, error = _Kept(), None
        try:
            with telling():
                benchmark, queries, system = self._opened
                asked = [queries[qid] for unit in json.loads(row["qids"]) for qid in unit]
                run_sync(answer_queries(benchmark, asked, system, kept, concurrency=AT_ONCE, progress=False))
        except ImageScopeError as problem:  # what was answered before is told all the same
            error = told_error(problem)
        node = node_id()
        told = {"node": node, "records": [*kept.records.values()], "error": error}
        return {"number": row["number"], "told": json.dumps(told)}
