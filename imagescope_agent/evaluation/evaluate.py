"""`imagescope eval`: run a graph on a data set and write metrics, run file, tables and report."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from imagescope_agent.cluster.connection import joined, require_engine
from imagescope_agent.cluster.telling import there
from imagescope_agent.common.redact import redact_values
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation import datasets
from imagescope_agent.evaluation.datasets.base import Benchmark, BenchmarkQuery, Gallery
from imagescope_agent.evaluation.graph_system import open_system
from imagescope_agent.evaluation.on_cluster import answer_on_cluster
from imagescope_agent.evaluation.reporting import outputs
from imagescope_agent.evaluation.run_store import RunStore
from imagescope_agent.evaluation.runner import System, answer_queries, sample
from imagescope_agent.retrieval.index.report import shares
from imagescope_agent.runs.checkpoints import reading
from imagescope_agent.runs.run_graph import run_sync

#: Queries in flight: models merge their requests into batches.
CONCURRENCY = 32


def evaluate(  # every argument is told
    dataset: str, *, root: Path | str, out: Path | str, split: str | None = None, graph: str = "imagescope",
    judge: str | None = None, profile: str = "mini", limit: int | None = None, seed: int = 0,
    concurrency: int = CONCURRENCY, progress: bool = True, system: System | None = None,
    engine: str = "local", address: str | None = None, tell: Callable[[str], None] = lambda _: None, **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """Send every query of a data set to a system and write all outputs; the same call resumes a stopped run.

    Returns the content of metrics.json.

    Args:
        dataset: a name of `datasets.DATASETS`.
        root: where it lies; `imagescope eval DATASET --check` says what is expected there.
        out: folder of the run; it may hold only this run.
        split: one of the data set's splits; its first when None.
        graph: the name of the system.
        judge: its name; that of the settings when None.
        profile: which models.
        limit: draw so many queries (dialogs) by `seed`; all when None. The gallery stays whole.
        seed: of the run, of the draw, and of the world that `scenes` makes.
        concurrency: queries asked at the same time, in this process.
        progress: a bar with the time left, on a terminal.
        system: answers instead of `graph`, in this process; for other systems and tests.
        engine: "local" for this process, "ray" for a Ray cluster whose nodes all see `root` at its path.
        address: of the cluster, as `cluster.connection.joined` takes it.
        tell: is told in a line which node answered how many queries.
        settings: more fields of `Settings`.

    Raises:
        BadInput: something is missing or malformed, or `out` holds another run.
        BackendUnavailable: a model does not answer; what was answered is kept.
    """
    require_engine(engine, address)
    if engine == "ray" and (system is not None or concurrency != CONCURRENCY):
        raise BadInput("nodes open the graph themselves, each with a concurrency of its own; leave both out")
    benchmark, queries, galleries = _load(dataset, Path(root), split, limit, seed)
    with joined(address) if engine == "ray" else contextlib.nullcontext() as ray:
        chosen = {"seed": seed, **settings, **({"judge": judge} if judge else {})}
        asked = {"graph": graph, "profile": profile, "settings": chosen}
        if system is None:
            system = open_system(benchmark, galleries, **asked, engine=engine, address=address)  # type: ignore[arg-type]
        identity = redact_values({
            **_protocol(benchmark), "judge": judge, "settings": settings, "weights": {},
            **getattr(system, "identity", {}),
            "graph": graph, "profile": profile, "seed": seed, "limit": limit, "queries": _fingerprint(queries),
        })  # fmt: skip
        with contextlib.closing(RunStore(Path(out), identity)) as store:
            if ray is None:
                work = answer_queries(
                    benchmark, queries, system, store, concurrency=concurrency, progress=progress
                )
                records = run_sync(work)
            else:
                where = (dataset, Path(root).absolute(), split, limit, seed)
                opened = {**asked, "profile": _found_anywhere(profile)}
                opener = partial(_open_on_node, where, opened, _identified(queries, system))
                records, nodes = answer_on_cluster(
                    ray, benchmark.name, queries, opener, store, progress=progress
                )
                if nodes:
                    tell(f"answered by {shares(nodes)}")
            with reading(out):  # what was answered before may be a stranger's
                return outputs.write_all(Path(out), identity, benchmark, queries, records, galleries)


def _found_anywhere(profile: str) -> str:
    """A profile as another process finds it, whatever folder it works in."""
    return str(Path(profile).expanduser().absolute()) if profile.endswith(".toml") else profile


def _open_on_node(
    where: tuple[str, Path, str | None, int | None, int], asked: Mapping[str, Any], same: Mapping[str, str]
) -> tuple[Benchmark, list[BenchmarkQuery], System]:
    """The data set and the system, opened on a node of a cluster.

    Raises:
        BadInput: the node does not see the data set, or another one, or opens other models than `same` says.
    """
    there(where[1])
    benchmark, queries, galleries = _load(*where, draw=False)
    system = open_system(benchmark, galleries, **asked, indexed=True)
    found = _identified(queries, system)
    if others := [name for name in same if found.get(name) != same[name]]:
        raise BadInput(
            f"the node {socket.gethostname()!r} has other {' and '.join(others)}; give every node the same data set, "
            "weights and version of this package"
        )
    return benchmark, queries, system


def _identified(queries: Sequence[BenchmarkQuery], system: Any) -> dict[str, str]:
    """What must be the same wherever queries are answered, as text."""
    named = {**getattr(system, "identity", {}), "queries": _fingerprint(queries)}
    return {name: json.dumps(value, sort_keys=True, default=str) for name, value in named.items()}


def _load(
    dataset: str, root: Path, split: str | None, limit: int | None, seed: int, *, draw: bool = True
) -> tuple[Benchmark, list[BenchmarkQuery], dict[str, Gallery]]:
    """The data set, the queries that are sampled from it, and the galleries they search."""
    if limit is not None and limit < 1:
        raise BadInput(f"--limit {limit}: give at least 1")
    datasets.find(dataset).required_files(root, split=split)  # refuses an unknown split before any drawing
    if draw and (prepare := getattr(datasets.find(dataset), "prepare", None)):
        prepare(root, seed=seed)
    benchmark = datasets.load(dataset, root, split=split)
    queries = sample(benchmark.queries, limit, seed)
    return benchmark, queries, _galleries(benchmark, queries)


def _protocol(benchmark: Benchmark) -> dict[str, Any]:
    return {
        "dataset": benchmark.name,
        "split": benchmark.split,
        "protocol": benchmark.protocol,
        "protocol_key": benchmark.key,
        "gallery": benchmark.gallery,
        "gallery_size": benchmark.size,
        "macro": list(benchmark.macro),
    }


def _galleries(benchmark: Benchmark, queries: Sequence[BenchmarkQuery]) -> dict[str, Gallery]:
    """The galleries these queries search, with all their images in place.

    Raises:
        BadInput: images are missing.
    """
    wanted = {query.gallery for query in queries}
    galleries = {name: gallery for name, gallery in benchmark.open_galleries().items() if name in wanted}
    for gallery in galleries.values():
        if missing := gallery.missing():
            raise BadInput(
                f"{gallery.folder / missing[0]}: missing, as are {len(missing) - 1} more of "
                f"{len(gallery.files)} images; see `imagescope eval {benchmark.name} --check`"
            )
    return galleries


def _fingerprint(queries: Sequence[BenchmarkQuery]) -> str:
    """A hash of the queries, so that a run is not resumed with other queries of the same ids."""
    content = [
        (
            query.qid,
            query.text,
            query.reference,
            query.relevant,
            *([query.references] if query.references else []),
        )
        for query in queries
    ]
    return (
        f"{len(queries)} queries, sha256 "
        + hashlib.sha256(json.dumps(content).encode("utf-8")).hexdigest()[:16]
    )
