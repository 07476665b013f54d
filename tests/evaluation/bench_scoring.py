"""How long scoring takes, and how much memory: a benchmark to run by hand, not a test.

    python tests/evaluation/bench_scoring.py [QUERIES [RESULTS]]      default 100,000 x 100

Writes a TREC run of that size, scores it with a data set of as many queries, and searches 123,403 vectors
exactly.
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

import numpy as np

IMAGES = 123_403
DIMENSION = 512


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


def bench_score(queries: Any, results: Any) -> Any:
    from imagescope_agent.evaluation.score import score

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), queries, results)
        start, cpu = time.perf_counter(), time.process_time()
        score("mscoco", root=folder, run_file=Path(folder) / "their.run")
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {
        "queries": queries,
        "results": results,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "peak_gb": round(gigabytes, 2),
    }


def bench_search() -> Any:
    import faiss

    rng = np.random.default_rng(0)
    index = faiss.IndexFlatIP(DIMENSION)
    for _ in range(0, IMAGES, 10_000):
        index.add(rng.standard_normal((min(10_000, IMAGES - index.ntotal), DIMENSION), dtype=np.float32))
    query = rng.standard_normal((1, DIMENSION), dtype=np.float32)
    start = time.perf_counter()
    found = index.search(query, 50)[1][0]
    seconds = time.perf_counter() - start
    products = np.concatenate(
        [index.reconstruct_n(i, min(10_000, IMAGES - i)) @ query[0] for i in range(0, IMAGES, 10_000)]
    )
    assert found.tolist() == np.argsort(-products, kind="stable")[:50].tolist()
    return {"vectors": index.ntotal, "dimension": DIMENSION, "seconds": round(seconds, 4), "exact": True}


if __name__ == "__main__":
    queries, results = ([int(word) for word in sys.argv[1:]] + [100_000, 100][len(sys.argv) - 1 :])[:2]
    variants = {"score": bench_score(queries, results), "search": bench_search()}
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
