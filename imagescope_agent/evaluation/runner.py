"""Send every query of a data set to a system, several at once, and store each answer as it arrives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tqdm import tqdm

from imagescope_agent.errors import BackendUnavailable, ImageScopeError
from imagescope_agent.evaluation import aggregate
from imagescope_agent.evaluation.datasets.base import Benchmark, BenchmarkQuery
from imagescope_agent.records import NOT_DEGRADING

#: How many of the first ranks per_query.jsonl keeps of every stage.
RANKS_KEPT = 100


@dataclass(frozen=True, kw_only=True)
class SystemAnswer:
    """A system's answer to a query: official image ids, best first, after each stage, of which one is "final".

    `fulfilment` is the probability it states that the first place fulfils the whole query, `accepted` whether it shows
    that place as fitting; both None where it states nothing.
    """

    stages: dict[str, list[str]]
    notes: list[dict[str, str]] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    fulfilment: float | None = None
    accepted: bool | None = None


class System(Protocol):
    """Anything that ranks a gallery for a query: `graph_system`, or another system under test."""

    async def answer(self, query: BenchmarkQuery) -> SystemAnswer:
        """Rank the query's gallery.

        Raises:
            BackendUnavailable: a model does not answer at all; the run stops here and can be resumed.
            ImageScopeError: this query failed.
        """
        ...


class Records(Protocol):
    """What keeps the answers: a `RunStore`, or the memory of a worker."""

    records: dict[str, dict[str, Any]]

    def append(self, record: dict[str, Any]) -> None:
        """Add one answer."""
        ...

    def finish(self, order: Iterable[str]) -> list[dict[str, Any]]:
        """The records in the order of these qids."""
        ...


def sample(queries: Sequence[BenchmarkQuery], limit: int | None, seed: int) -> list[BenchmarkQuery]:
    """Sample `limit` queries (whole dialogs) without replacement, in the data set's order; all when None."""
    units = list(dict.fromkeys(query.unit for query in queries))
    if limit is None or limit >= len(units):
        return list(queries)
    drawn = set(random.Random(seed).sample(units, limit))
    return [query for query in queries if query.unit in drawn]


async def answer_queries(
    benchmark: Benchmark,
    queries: Sequence[BenchmarkQuery],
    system: System,
    store: Records,
    *,
    concurrency: int,
    progress: bool,
) -> list[dict[str, Any]]:
    """Answer the queries that the store does not hold yet.

    Returns:
        All records in the order of `queries`.

    Raises:
        BackendUnavailable: the run cannot go on; the answers so far are stored.
    """
    units: dict[str, list[BenchmarkQuery]] = {}
    for query in queries:
        if query.qid not in store.records:
            units.setdefault(query.unit, []).append(query)
    waiting = iter(units.values())  # dialogs run concurrently, the rounds of a dialog in order
    bar = tqdm(
        total=len(queries),
        initial=len(store.records),
        unit="query",
        desc=benchmark.name,
        disable=None if progress else True,
        leave=False,
    )
    with bar:
        workers = [_worker(benchmark, waiting, system, store, bar) for _ in range(max(1, concurrency))]
        tasks = [asyncio.create_task(worker) for worker in workers]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return store.finish(query.qid for query in queries)


async def _worker(
    benchmark: Benchmark,
    waiting: Iterator[list[BenchmarkQuery]],
    system: System,
    store: Records,
    bar: tqdm[Any],
) -> None:
    for unit in waiting:
        for query in unit:
            store.append(await answer_record(benchmark, query, system))
            bar.update()


async def answer_record(benchmark: Benchmark, query: BenchmarkQuery, system: System) -> dict[str, Any]:
    """Answer and score one query: a line of per_query.jsonl."""
    head = {
        "qid": query.qid, "text": query.text, "reference": query.reference,
        "subsets": list(query.subsets), "group": query.group, "turn": query.turn,
    }  # fmt: skip
    try:
        answer = await system.answer(query)
    except BackendUnavailable:
        raise
    except ImageScopeError as error:
        return {**head, **_failure(f"{type(error).__name__}: {error}")}
    except Exception as error:  # noqa: BLE001 -- a defect in one query must not end a run of hours; it counts as failed
        return {**head, **_failure(f"unexpected {type(error).__name__}: {error}")}
    return {
        **head,
        "failed": None,
        "degraded": any(note["kind"] not in NOT_DEGRADING for note in answer.notes),
        "stages": {stage: _truncated(query, ranking, benchmark) for stage, ranking in answer.stages.items()},
        "values": {stage: _values(benchmark, query, ranking) for stage, ranking in answer.stages.items()},
        "usage": answer.usage,
        "notes": answer.notes,
        **_stated(answer),
    }


def _stated(answer: SystemAnswer) -> dict[str, Any]:
    if answer.fulfilment is None:
        return {}
    return {"fulfilment": answer.fulfilment, "accepted": bool(answer.accepted)}


def _failure(why: str) -> dict[str, Any]:
    return {"failed": why, "degraded": False, "stages": {}, "values": {}, "usage": {}, "notes": []}


def _values(benchmark: Benchmark, query: BenchmarkQuery, ranking: list[str]) -> dict[str, Any]:
    return aggregate.as_record(aggregate.score_rankings(benchmark, [query], [ranking]), 0)


def _truncated(query: BenchmarkQuery, ranking: list[str], benchmark: Benchmark) -> list[str]:
    """The first RANKS_KEPT ranks, then the rest of CIRR's group in ranked order, which recall_subset needs."""
    cleaned = list(aggregate.drop_reference(query, ranking, benchmark))
    return cleaned[:RANKS_KEPT] + [image for image in cleaned[RANKS_KEPT:] if image in query.members]
