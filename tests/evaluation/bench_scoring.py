"""How long scoring takes, and how much memory: a benchmark to run by hand, not a test.

    python tests/evaluation/bench_scoring.py [QUERIES [RESULTS]]      default 100,000 x 100

Writes a TREC run of that size and scores it with a data set of as many queries; searches a collection of
123,403 vectors exactly; writes the report of a run over a gallery of that size.
"""

from __future__ import annotations

import json
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import layouts
import numpy as np

from imagescope_agent.evaluation.datasets.base import Benchmark, BenchmarkQuery, Gallery
from imagescope_agent.evaluation.reporting import outputs
from imagescope_agent.evaluation.runner import SystemAnswer, answer_record
from imagescope_agent.runs.run_graph import run_sync

IMAGES = 123_403
DIMENSION = 512


class Shifted:
    """Ranks 100 images by number; the wanted one is among the first seven, after retrieval among the last."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    async def answer(self, query: BenchmarkQuery) -> SystemAnswer:
        start = int(query.qid) - int(query.qid) % 7
        ranked = self.names[start : start + 100]
        return SystemAnswer(stages={"retrieve": ranked[::-1], "final": ranked})


def write_report(folder: Path, queries: int) -> Path:
    """The outputs of a run over a gallery of 123,403 images, of which a few files stand for all; its page."""
    names = [f"{number:012d}.jpg" for number in range(IMAGES)]
    for number in range(layouts.COLOURS):
        layouts.draw(folder / f"{number}.png", number)
    files = {name: f"{number % layouts.COLOURS}.png" for number, name in enumerate(names)}
    gallery = Gallery(name="images", folder=folder, files=files)
    asked = tuple(
        BenchmarkQuery(qid=str(n), text=f"query {n}", relevant=(names[n],), target=names[n])
        for n in range(queries)
    )
    told: dict[str, Any] = {"split": "test", "protocol": "drawn", "gallery": f"{IMAGES} images"}
    benchmark = Benchmark(
        name="mscoco", key="", **told, queries=asked, measures=("R@1", "R@10"), size=IMAGES,
        open_galleries=lambda: {"images": gallery},
    )  # fmt: skip
    identity = {"dataset": "mscoco", "graph": "drawn", "profile": "none", "protocol_key": "", **told}

    async def ask() -> Any:
        return [await answer_record(benchmark, query, Shifted(names)) for query in asked]

    outputs.write_all(folder, identity, benchmark, asked, run_sync(ask()), {"images": gallery})
    return folder / "report.html"


def bench_report(queries: int = 5_000) -> Any:
    """How long the outputs of such a run take, and how large its page becomes."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        page = write_report(Path(folder), queries)
        seconds = time.perf_counter() - start
        kilobytes = page.stat().st_size // 1000
    return {"gallery": IMAGES, "queries": queries, "seconds": round(seconds, 2), "page_kb": kilobytes}


def write(root: Any, queries: Any, results: Any) -> None:
    rng = np.random.default_rng(0)
    with (root / "test_5k_mscoco_2014.csv").open("w") as table:
        table.write("raw,sentids,split,filename,imgid\n")
        for number in range(queries):
            table.write(f'"[""caption {number}""]",[],test,COCO_val2014_{number:012d}.jpg,{number}\n')
    with (root / "their.run").open("w") as run:
        for number in range(queries):
            for rank, image in enumerate(rng.integers(queries // results, size=results) * results, start=1):
                name = f"COCO_val2014_{(image + rank) % queries:012d}.jpg"  # different within a query
                run.write(f"COCO_val2014_{number:012d}.jpg#0 Q0 {name} {rank} {1 / rank:.6f} bench\n")


def bench_score(queries: Any, results: Any, kept: Path | None = None) -> Any:
    """`kept`: a folder for the files, made once."""
    from imagescope_agent.evaluation.score_run import score_run

    with tempfile.TemporaryDirectory() as made:
        folder = kept or Path(made)
        if not (folder / "their.run").exists():
            folder.mkdir(parents=True, exist_ok=True)
            write(folder, queries, results)
        start, cpu = time.perf_counter(), time.process_time()
        score_run("mscoco", root=folder, run_file=folder / "their.run")
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {
        "queries": queries,
        "results": results,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "peak_gb": round(gigabytes, 2),
    }


def gallery(images: int, dimension: int) -> Any:
    """A collection of drawn vectors, and the vectors."""
    import faiss

    from imagescope_agent.retrieval.collection import FolderCollection
    from imagescope_agent.retrieval.index.manifest import Entry, Manifest
    from imagescope_agent.retrieval.stores.faiss_flat import FaissFlatStore

    rng = np.random.default_rng(0)
    indices, rows = dict[str, Any](), []
    for space in ("image", "caption"):
        vectors = rng.standard_normal((images, dimension), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[0] = 0.0
        vectors[0, 0] = 1.0
        vectors[1::1000] = vectors[0]  # ties
        indices[space] = faiss.IndexFlatIP(dimension)
        indices[space].add(vectors)
        rows.append(vectors)
    content = Manifest(
        folder=".", embedder="drawn", captioner="drawn", dimension=dimension, skipped=(),
        image_vectors={}, caption_vectors={},
        entries=tuple(Entry(id=f"{n:012d}.jpg", key=str(n), caption="") for n in range(images)),
    )  # fmt: skip
    return FolderCollection(Path(), content, FaissFlatStore(content.ids, indices)), rows


def search_exactly(images: int, dimension: int, *, k: int = 50, queries: int = 3) -> float:
    """Seconds of a search, the best of several; each ranking is checked against plain products."""
    collection, (pictures, captions) = gallery(images, dimension)
    seconds = []
    for number in range(queries):
        query = pictures[number] + (number > 0) * pictures[-1]
        query /= np.linalg.norm(query)
        start = time.perf_counter()
        found = collection.search(query, 0.15, k)
        seconds.append(time.perf_counter() - start)
        products = 0.85 * (pictures @ query).astype(float) + 0.15 * (captions @ query).astype(float)
        order = np.argsort(-products, kind="stable")[:k]
        assert np.allclose([score for _, score in found], products[order], atol=1e-6)
        places = [int(name[:12]) for name, _ in found]
        assert len(set(places)) == k and np.allclose(products[places], products[order], atol=1e-6)
        assert number or places == [0, *range(1, images, 1000)][:k]  # ties in order of id
    return min(seconds)


def bench_search() -> Any:
    seconds = search_exactly(IMAGES, DIMENSION)
    return {"vectors": IMAGES, "dimension": DIMENSION, "seconds": round(seconds, 4), "exact": True}


if __name__ == "__main__":
    queries, results = ([int(word) for word in sys.argv[1:]] + [100_000, 100][len(sys.argv) - 1 :])[:2]
    variants = {
        "score": bench_score(queries, results), "search": bench_search(), "report": bench_report(),
    }  # fmt: skip
    print(
        json.dumps(
            {
                "bench": "evaluation",
                "machine": platform.processor() or platform.machine(),
                "variants": variants,
            },
            indent=2,
        )
    )
