"""`imagescope bench service`: a service process beside direct calls: latency, fairness, memory, reranking.

Everything is measured on `imagescope serve` as users start it; direct calls are made in this process, which has models
of its own, each pair of the same search one after the other and in turns first.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from imagescope_agent.api import ImageScope
from imagescope_agent.client import Client
from imagescope_agent.errors import BackendUnavailable, ImageScopeError
from imagescope_agent.judges import JUDGES
from imagescope_agent.judges.base import Candidate, Task
from imagescope_agent.lab.benchmarks.drawn import DrawnQuery, read_queries
from imagescope_agent.lab.benchmarks.machine import describe_machine, machine
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.registry import resolve

GRAPHS = ("retrieve", "imagescope")
ALONE = 10  # documents that are scored alone, too
LOOKS = 10  # looks at the memory
QUERY = "a red car"


def run(  # half of it tells arguments and result
    *,
    images: int = 100,
    searches: int = 30,
    clients: int = 64,
    rounds: int = 3,
    memory: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure a service over drawn scenes with the models that ship.

    Args:
        images: in the collection; all are reranked.
        searches: pairs of a direct and a served search, for each graph.
        clients: that search at once.
        rounds: searches of each client.
        memory: searches (graph retrieve) during which the memory of the service is watched.
        seed: of the scenes.

    Returns:
        {"bench", "machine", "images",
        "latency": {graph: {"searches", "direct", "served": median seconds, "added": median of paired differences,
        "share": of the direct one, "cpu": processor seconds a search, directly, of the service and of its client,
        which other load on the machine changes less}},
        "clients": {"clients", "searches", "failed", "mean": seconds of the fastest and the slowest client, "ratio"},
        "memory": {"searches", "mb": at each look, "growth": MB from the second look to the last},
        "rerank": {"documents", "same_order", "largest_difference"}}.

    Raises:
        BackendUnavailable: the service does not start.
    """
    with TemporaryDirectory() as place:
        make_world(Path(place), seed, images)
        folder = Path(place) / "images"
        # not here: this process would have seen all pictures, and the service none
        index = [sys.executable, "-m", "imagescope_agent.cli", "index", str(folder), "--profile", "mini"]
        subprocess.run(index, check=True, stdout=subprocess.DEVNULL)
        scope = ImageScope.open(folder)
        queries = read_queries(Path(place), min(searches, images // 2))
        with _service(folder) as (process, address), Client(address) as client:
            return {
                "bench": "service",
                "machine": machine(),
                "images": images,
                "latency": {
                    graph: _latency(ImageScope(scope.services, graph=graph), client, process.pid, queries)
                    for graph in GRAPHS
                },
                "clients": _crowd(address, queries, clients, rounds),
                "rerank": _reranked(scope, client),
                "memory": _watched(process.pid, client, queries, memory),
            }


@contextmanager
def _service(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running service on a free port, and its address."""
    command = [sys.executable, "-m", "imagescope_agent.cli", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.match(r"(http://\S+)/docs", line)
            if found is None:
                raise BackendUnavailable("the service did not start; see what it printed")
            yield process, found[1]
        finally:
            process.terminate()


def _latency(scope: ImageScope, client: Client, pid: int, queries: Sequence[DrawnQuery]) -> dict[str, Any]:
    """The same searches directly and served, in turns first."""
    cpu = {"direct": 0.0, "service": 0.0, "client": 0.0}

    def timed(name: str, search: Callable[[], object]) -> float:
        start, spent = time.perf_counter(), time.process_time()
        search()
        cpu[name] += time.process_time() - spent
        return time.perf_counter() - start

    def direct(query: DrawnQuery) -> float:
        return timed("direct", lambda: scope.search(query.text, image=query.reference))

    def served(query: DrawnQuery) -> float:
        before = _processor(pid)
        seconds = timed("client", lambda: client.search(query.text, query.reference, graph=scope.graph))
        cpu["service"] += _processor(pid) - before
        return seconds

    for query in queries:  # weights are loaded, and both processes have seen the same pictures
        direct(query), served(query)
    cpu.update(dict.fromkeys(cpu, 0.0))
    pairs = list[tuple[float, float]]()
    for number, query in enumerate(queries):
        if number % 2:
            after = served(query)
            pairs.append((direct(query), after))
        else:
            pairs.append((direct(query), served(query)))
    added = median(two - one for one, two in pairs)
    base = median(one for one, _ in pairs)
    return {
        "searches": len(pairs),
        "direct": round(base, 4),
        "served": round(median(two for _, two in pairs), 4),
        "added": round(added, 4),
        "share": round(added / base, 3),
        "cpu": {name: round(seconds / len(pairs), 4) for name, seconds in cpu.items()},
    }


def _crowd(address: str, queries: Sequence[DrawnQuery], clients: int, rounds: int) -> dict[str, Any]:
    """Clients that search at once, one search after the other each."""

    def one(number: int) -> tuple[list[float], int]:
        seconds, failed = [], 0
        with Client(address) as client:
            for turn in range(rounds):
                start = time.perf_counter()
                try:
                    client.search(queries[(number + turn) % len(queries)].text, graph="retrieve")
                except ImageScopeError:
                    failed += 1
                seconds.append(time.perf_counter() - start)
        return seconds, failed

    with ThreadPoolExecutor(clients) as pool:
        found = [*pool.map(one, range(clients))]
    means = [sum(seconds) / len(seconds) for seconds, _ in found]
    return {
        "clients": clients,
        "searches": clients * rounds,
        "failed": sum(failed for _, failed in found),
        "mean": {"fastest": round(min(means), 3), "slowest": round(max(means), 3)},
        "ratio": round(max(means) / min(means), 2),
    }


def _reranked(scope: ImageScope, client: Client) -> dict[str, Any]:
    """All images by the service, by the judge in this process, and some of them alone."""
    services, names = scope.services, list(scope.services.collection.ids)
    answer = client.rerank(QUERY, names)["results"]
    candidates = [Candidate(id=name, image=services.collection.image_ref(name)) for name in names]
    judge = resolve("pointwise", JUDGES)
    order = asyncio.run(judge(Task(query=QUERY, model=services.judge), candidates)).order
    scores = {names[each["index"]]: each["relevance_score"] for each in answer}
    alone = {name: client.rerank(QUERY, [name])["results"][0]["relevance_score"] for name in names[:ALONE]}
    return {
        "documents": len(names),
        "same_order": [names[each["index"]] for each in answer] == list(order),
        "largest_difference": max(abs(score - scores[name]) for name, score in alone.items()),
    }


def _watched(pid: int, client: Client, queries: Sequence[DrawnQuery], searches: int) -> dict[str, Any]:
    """The memory of the service while it searches."""
    looks = []
    for number in range(searches):
        client.search(queries[number % len(queries)].text, graph="retrieve")
        if (number + 1) % max(1, searches // LOOKS) == 0:
            looks.append(_resident(pid))
    return {"searches": searches, "mb": looks, "growth": round(looks[-1] - looks[min(1, len(looks) - 1)], 1)}


def _resident(pid: int) -> float:
    """Resident memory of a process, in MB (10^6 bytes)."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return round(int(found[1]) * 1024 / 1e6, 1) if found else 0.0


def _processor(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as text."""
    lines = [
        f"{graph:<11} direct {row['direct']} s, served {row['served']} s, "
        f"added {1000 * row['added']:.1f} ms ({row['share']:.1%}), {row['searches']} searches; cpu s a search: direct "
        f"{row['cpu']['direct']}, service {row['cpu']['service']}, client {row['cpu']['client']}"
        for graph, row in made["latency"].items()
    ]
    crowd, memory, rerank = made["clients"], made["memory"], made["rerank"]
    lines += [
        f"{crowd['clients']} clients at once: {crowd['failed']} of {crowd['searches']} searches failed; mean "
        f"{crowd['mean']['fastest']} s (fastest client) to {crowd['mean']['slowest']} s, {crowd['ratio']} times",
        f"memory over {memory['searches']} searches: {memory['mb']} MB, grown by {memory['growth']} MB",
        f"{rerank['documents']} documents reranked: order of the judge in process {rerank['same_order']}, "
        f"single against batch {rerank['largest_difference']:.1e}",
        describe_machine(made["machine"]),
    ]
    return "\n".join(lines)
