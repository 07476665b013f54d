"""Ask a system every query of a data set, several at once, and keep each answer as it arrives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tqdm import tqdm

from imagescope_agent.errors import BackendUnavailable, ImageScopeError
from imagescope_agent.evaluation import aggregate as scoring
from imagescope_agent.evaluation.datasets.base import Benchmark, BenchmarkQuery
from imagescope_agent.evaluation.run_store import RunStore

#: How many of the first ranks per_query.jsonl keeps of every stage.
KEPT = 100
#: Notes that tell of luck, of patience or of what was asked, not of a worse answer.
HARMLESS = frozenset({"tie", "retried", "asked"})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a system says to a query: official image ids, best first, after each stage; "final" is among
    them.
    """

    stages: dict[str, list[str]]
    notes: list[dict[str, str]] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)


class System(Protocol):
    """Anything that ranks a gallery for a query; `imagescope` opens ours, tests bring their own."""

    async def answer(self, query: BenchmarkQuery) -> Answer:
        """Rank the query's gallery.

        Raises:
            BackendUnavailable: a model does not answer at all; the run stops here and can be resumed.
            ImageScopeError: this query failed.
        """
        ...


def sample(queries: Sequence[BenchmarkQuery], limit: int | None, seed: int) -> list[BenchmarkQuery]:
    """`limit` queries (whole dialogs) drawn without replacement by `seed`, in the data set's order; all when
    None.
    """
    units = list(dict.fromkeys(query.unit for query in queries))
    if limit is None or limit >= len(units):
        return list(queries)
    drawn = set(random.Random(seed).sample(units, limit))
    return [query for query in queries if query.unit in drawn]


async def ask_all(
    benchmark: Benchmark,
    queries: Sequence[BenchmarkQuery],
    system: System,
    ledger: RunStore,
    *,
    concurrency: int,
    progress: bool,
) -> list[dict[str, Any]]:
    """Answer the queries that the ledger does not hold yet.

    Returns:
        All records in the order of `queries`.

    Raises:
        BackendUnavailable: the run cannot go on; what was answered is kept.
    """
    units: dict[str, list[BenchmarkQuery]] = {}
    for query in queries:
        if query.qid not in ledger.records:
            units.setdefault(query.unit, []).append(query)
    waiting = iter(units.values())  # dialogs go side by side, the rounds of each one after the other
    bar = tqdm(
        total=len(queries),
        initial=len(ledger.records),
        unit="query",
        desc=benchmark.name,
        disable=None if progress else True,
        leave=False,
    )
    with bar:
        workers = [_work(benchmark, waiting, system, ledger, bar) for _ in range(max(1, concurrency))]
        tasks = [asyncio.create_task(worker) for worker in workers]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return ledger.finish(query.qid for query in queries)


async def _work(
    benchmark: Benchmark,
    waiting: Iterator[list[BenchmarkQuery]],
    system: System,
    ledger: RunStore,
    bar: tqdm[Any],
) -> None:
    for unit in waiting:
        for query in unit:
            ledger.append(await _record(benchmark, query, system))
            bar.update()


async def _record(benchmark: Benchmark, query: BenchmarkQuery, system: System) -> dict[str, Any]:
    """One line of per_query.jsonl."""
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
    except Exception as error:  # noqa: BLE001 -- one query's defect must not end a run of hours; it is counted as failed
        return {**head, **_failure(f"unexpected {type(error).__name__}: {error}")}
    return {
        **head,
        "failed": None,
        "degraded": any(note["kind"] not in HARMLESS for note in answer.notes),
        "stages": {stage: _keep(query, ranking, benchmark) for stage, ranking in answer.stages.items()},
        "values": {stage: _values(benchmark, query, ranking) for stage, ranking in answer.stages.items()},
        "usage": answer.usage,
        "notes": answer.notes,
    }


def _failure(why: str) -> dict[str, Any]:
    return {"failed": why, "degraded": False, "stages": {}, "values": {}, "usage": {}, "notes": []}


def _values(benchmark: Benchmark, query: BenchmarkQuery, ranking: list[str]) -> dict[str, Any]:
    return scoring.as_record(scoring.score(benchmark, [query], [ranking]), 0)


def _keep(query: BenchmarkQuery, ranking: list[str], benchmark: Benchmark) -> list[str]:
    """The first KEPT ranks, then the rest of CIRR's group in ranked order, so that recall_subset can be
    scored again.
    """
    cleaned = list(scoring.clean(query, ranking, benchmark))
    return cleaned[:KEPT] + [image for image in cleaned[KEPT:] if image in query.members]
