"""`imagescope bench floor`: what a search, an index and a cold start cost over the models' own work, side by side.

Ratios are of processor time, of interleaved repeats in one process, so that other load on the machine does not count;
the rows of which only the clock tells something say so.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import faiss
import numpy as np

from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.lab.benchmarks import bare
from imagescope_agent.lab.benchmarks.drawn import DrawnQuery, clear_caches, read_queries
from imagescope_agent.lab.benchmarks.forward_seconds import forward_seconds
from imagescope_agent.lab.benchmarks.load import measure
from imagescope_agent.lab.benchmarks.machine import describe_machine, machine
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.profiles.profile import load_profile

NOTHING_FITS = (
    "a purple boat above a purple boat, and a purple heart below a white fish",
    "a black house on a black heart, a black star and a black flower",
    "five green cars left of five orange fish at night",
)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What the rows are measured on."""

    root: Path
    scope: Callable[..., ImageScope]
    queries: Sequence[DrawnQuery]
    repeats: int
    indexed: int
    together: int

    @property
    def folder(self) -> Path:
        """The images."""
        return self.root / "images"


def run(  # over forty lines for its arguments
    *,
    root: Path | None = None,
    images: int = 200,
    queries: int = 6,
    repeats: int = 3,
    indexed: int = 64,
    together: int = 16,
    row: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure the rows of `ROWS` with the models that ship.

    Args:
        root: a folder of drawn scenes (`imagescope scenes make`); drawn anew when None.
        images: how many are drawn.
        queries: of the drawn ones, asked in each repeat.
        repeats: interleaved; the median counts.
        indexed: images that are indexed.
        together: searches that arrive at once.
        row: only these rows, by the beginning of their names.
        seed: of the scenes.

    Returns:
        {"bench", "machine", "rows": {name: {"ratio", and what it is the ratio of}}}.

    Raises:
        BadInput: no drawn scenes there, or too few queries.
    """
    with tempfile.TemporaryDirectory() as made:
        if root is None:
            make_world(root := Path(made) / "world", seed, images)
        found = read_queries(root, max(queries, together))
        index_folder(root / "images", profile="mini", progress=False)

        def scope(graph: str, **options: Any) -> ImageScope:
            return ImageScope.open(root / "images", profile="mini", graph=graph, **options)

        bench = Bench(
            root=root, scope=scope, queries=found, repeats=repeats, indexed=indexed, together=together
        )
        chosen = {name: row_of for name, row_of in ROWS.items() if row is None or name.startswith(tuple(row))}
        return {
            "bench": "floor",
            "machine": machine(),
            "rows": {name: measure_row(bench, queries) for name, measure_row in chosen.items()},
        }


def kept(bench: Bench, queries: int) -> dict[str, Any]:
    """`retrieve` with runs and traces kept over the same without, by the clock."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"runs": Path(folder) / "runs", "traces": Path(folder) / "traces"}
        searches = {
            "kept": bench.scope("retrieve", **files).search,
            "not kept": bench.scope("retrieve", runs=False, traces=False).search,
        }
        return _compared(bench, queries, searches, time.perf_counter)


def around(bench: Bench, queries: int) -> dict[str, Any]:
    """`retrieve` over the text's vector and the product with all images."""
    scope = bench.scope("retrieve", runs=False, traces=False)
    collection = scope.services.collection
    index = faiss.IndexFlatIP(collection.dimension)
    index.add(np.stack([collection.image_vector(name) for name in collection.ids]))
    searches: dict[str, Callable[[str], object]] = {
        "search": scope.search,
        "bare": lambda text: bare.search(scope.services.embedder, index, text),
    }
    return _compared(bench, queries, searches, time.process_time)


def _compared(
    bench: Bench, queries: int, searches: Mapping[str, Callable[[str], object]], clock: Callable[[], float]
) -> dict[str, Any]:
    """Median seconds of two kinds of search, and the median ratio of the first to the second."""
    rounds: list[dict[str, float]] = []
    texts = [query.text for query in bench.queries[:queries]]
    for number in range(-1, bench.repeats):
        for text in texts:
            took = {}
            for name in list(searches)[:: 1 if number % 2 else -1]:
                start = clock()
                searches[name](text)
                took[name] = clock() - start
            if number >= 0:  # the first round warms up
                rounds.append(took)
    first, second = searches
    return {
        "ratio": round(median(took[first] / took[second] for took in rounds), 3),
        **{f"{name} s": round(median(took[name] for took in rounds), 4) for name in searches},
    }


def forwards(bench: Bench, queries: int) -> dict[str, Any]:
    """`imagescope` over the forwards of its models; and how many forwards decode its replies, one token each before."""
    scope = bench.scope("imagescope", runs=False, traces=False)
    scope.search(bench.queries[0].text)
    rows = []
    for query in list(bench.queries[:queries]) * bench.repeats:
        clear_caches(scope.services)
        with forward_seconds() as spent:
            start = time.process_time()
            usage = scope.search(query.text, image=query.reference).usage
            whole = time.process_time() - start
        rows.append((whole, spent.seconds, spent.decode_steps, usage["completion_tokens"]))
    names = ("search s", "forwards s", "decode steps", "tokens written")
    means = {
        name: round(mean(column), 3) for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }
    return {"ratio": round(median(row[0] / row[1] for row in rows), 3), **means}


def nothing_fits(bench: Bench, queries: int) -> dict[str, Any]:
    """Tokens that `adaptive` reads over those of `imagescope`, asked for what no image shows; the worst query."""
    scopes = {graph: bench.scope(graph, runs=False, traces=False) for graph in ("adaptive", "imagescope")}
    read: list[list[int]] = []
    for text in NOTHING_FITS:
        tokens = []
        for scope in scopes.values():
            clear_caches(scope.services)
            usage = scope.search(text).usage
            tokens.append(usage["prompt_tokens"] + usage["completion_tokens"])
        read.append(tokens)
    first, second = (round(mean(column), 1) for column in zip(*read, strict=True))
    worst = max(one / other for one, other in read)
    return {"ratio": round(worst, 3), "adaptive tokens": first, "imagescope tokens": second}


def indexing(bench: Bench, queries: int) -> dict[str, Any]:
    """Indexing over loading, captioning and embedding the same images in a bare loop."""
    services = bench.scope("retrieve", runs=False, traces=False).services
    files = sorted(bench.folder.glob("*.png"))[: bench.indexed]
    rounds: list[tuple[float, float]] = []
    for number in range(-1, bench.repeats):
        with tempfile.TemporaryDirectory() as place:
            for file in files:
                shutil.copy(file, place)
            took = []
            for work in (
                lambda: index_folder(place, profile="mini", progress=False),
                lambda: bare.index(services, files),
            ):
                clear_caches(services)
                start = time.process_time()
                work()
                took.append(time.process_time() - start)
        if number >= 0:
            rounds.append((took[0], took[1]))
    return {
        "ratio": round(median(one / other for one, other in rounds), 3),
        "index s": round(median(one for one, _ in rounds), 3),
        "bare s": round(median(other for _, other in rounds), 3),
    }


def cold(bench: Bench, queries: int) -> dict[str, Any]:
    """A fresh process that searches by `retrieve` over a bare script with open_clip and FAISS."""
    place, text = load_profile("mini").embedder, bench.queries[0].text
    collection = bench.scope("retrieve").services.collection
    vectors = next(collection.location.glob("image.*.faiss"))
    commands = {
        "search": bare.python(
            "-m", "imagescope_agent.cli", "search", str(bench.folder), text, "--graph", "retrieve"
        ),
        "script": bare.python("-c", bare.SEARCH, place, str(vectors), text),
    }
    took = [
        {name: bare.seconds_of(command)[1] for name, command in commands.items()}
        for _ in range(bench.repeats)
    ]
    return {
        "ratio": round(median(each["search"] / each["script"] for each in took), 3),
        **{f"{name} s": round(median(each[name] for each in took), 3) for name in commands},
    }


def burst(bench: Bench, queries: int) -> dict[str, Any]:
    """Searches by `imagescope` that arrive at once: the worst over its fair share, by the clock."""
    scope = bench.scope("imagescope", runs=False, traces=False)
    made = measure(scope, bench.queries[: bench.together], [0.0] * bench.together)
    return {
        "ratio": made["slowdown"]["max"],
        "by tokens": made["token_slowdown"]["max"],
        "last after s": made["end"],
        "alone s": made["alone"],
    }


ROWS: dict[str, Callable[[Bench, int], dict[str, Any]]] = {
    "kept: retrieve with runs and traces, over without, by the clock": kept,
    "around: retrieve, over text vector and search": around,
    "forwards: imagescope, over its forwards": forwards,
    "nothing fits: tokens of adaptive, over imagescope": nothing_fits,
    "index: over the bare loop": indexing,
    "cold: search, over a bare script": cold,
    "burst: slowest, over its fair share, by the clock": burst,
}


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as a Markdown table."""
    rows = []
    for name, found in made["rows"].items():
        parts = ", ".join(f"{part} {value}" for part, value in found.items() if part != "ratio")
        rows.append([name, f"{found['ratio']}", parts])
    return "\n".join([markdown_table(["row", "ratio", "of"], rows), describe_machine(made["machine"])])
