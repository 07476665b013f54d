"""Every data set through the real graphs and a real index; only the models are scripted."""

from __future__ import annotations

import asyncio
import json
import random
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from imagescope_agent.evaluation import datasets
from imagescope_agent.evaluation.evaluate import evaluate
from imagescope_agent.evaluation.graph_system import GraphSystem
from imagescope_agent.evaluation.score_run import score

SETS = [
    *[("cirr", "val"), ("cirr", "test1"), ("circo", "val"), ("circo", "test")],
    *[
        ("fashioniq", "val"),
        ("fashioniq", "val-VAL"),
        ("flickr30k", None),
        ("mscoco", None),
        ("visdial", None),
    ],
]
SUBMISSIONS = {
    "cirr": {"submission_recall.json", "submission_recall_subset.json"},
    "circo": {"submission.json"},
}


class MeanColours:
    """Pictures by their mean colour, texts by their letters: no meaning, but a ranking."""

    weights, dimension = "mean-colours", 8

    def images(self, images: Any) -> Any:
        return self._unit([np.asarray(image.resize((2, 2)), dtype=float).ravel()[:8] for image in images])

    def texts(self, texts: Any) -> Any:
        return self._unit([[random.Random(text + str(i)).random() for i in range(8)] for text in texts])

    def _unit(self, rows: Any) -> Any:
        matrix = np.asarray(rows, dtype=float).reshape(-1, 8) + 0.01
        return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def think(asked: Any) -> Any:
    if asked.options["response_format"] == "IntentAnswer":
        return json.dumps(
            {"steps": [{"type": "Addition", "text": "a"}], "core": "a", "enhanced": "b", "full": "c"}
        )
    return json.dumps({"predicates": [{"question": "Is it there?", "expected": "Yes"}]})


@pytest.fixture
def opened(tmp_path: Any) -> Any:
    """A data set's galleries indexed and a graph opened on each, with scripted models."""
    from imagescope_agent.api import ImageScope
    from imagescope_agent.mllms.role import Role
    from imagescope_agent.mllms.scripted import Scripted, ScriptedScorer
    from imagescope_agent.retrieval.collection import FolderCollection, build
    from imagescope_agent.services import Services

    def choose(asked: Any) -> Any:
        yes = random.Random(asked.text + "".join(asked.images)).random()
        return [yes, 1.0 - yes]

    roles: dict[str, Any] = {
        "captioner": Role("captioner", Scripted(lambda asked: "a picture")),
        "reasoner": Role("reasoner", Scripted(think)),
        "talker": Role("talker", Scripted(think)),
        "verifier": Role("verifier", ScriptedScorer(choose)),
        "judge": Role("judge", Scripted("No: it is not.")),
    }

    def system(benchmark: Any, graph: Any) -> Any:
        settings = {"keep_reference": not benchmark.drop_reference}
        galleries, scopes = benchmark.open_galleries(), {}
        for name, gallery in galleries.items():
            index = tmp_path / f"index-{benchmark.name}-{benchmark.split}-{name}"
            only = frozenset(gallery.files.values())
            work = build(
                gallery.folder, index, MeanColours(), roles["captioner"], "say",
                captioner_weights="none", only=only, progress=False,
            )  # fmt: skip
            asyncio.run(work)
            services = Services(
                embedder=MeanColours(), collection=FolderCollection.open(index), settings={}, **roles
            )
            scopes[name] = ImageScope(services, graph=graph, runs=False, **settings)
        return GraphSystem(benchmark, galleries, scopes, settings)

    return system


@pytest.mark.parametrize(("name", "split"), SETS)
def test_a_data_set_end_to_end(layout: Any, opened: Any, tmp_path: Any, name: Any, split: Any) -> None:
    root, out = layout(name), tmp_path / "run"
    benchmark = datasets.load(name, root, split=split)
    system = opened(benchmark, "imagescope")
    metrics = evaluate(name, root=root, split=split, out=out, system=system, progress=False)
    assert (metrics["queries"], metrics["failed"]) == (len(benchmark.queries), 0)
    assert metrics["protocol"] and metrics["gallery"] and metrics["weights"]["embedder"] == "mean-colours"
    assert set(metrics["metrics"]) == {"retrieve", "verify", "judge", "final"}
    assert set(metrics["submissions"]) == SUBMISSIONS.get(name, set())
    assert all((out / file).exists() for file in metrics["submissions"])
    records = [json.loads(line) for line in (out / "per_query.jsonl").read_text().splitlines()]
    for query, record in zip(benchmark.queries, records, strict=True):
        ranking = record["stages"]["final"]
        assert sorted(ranking) == sorted(record["stages"]["retrieve"])
        assert (query.reference in ranking) == (query.reference is not None and not benchmark.drop_reference)
    if benchmark.measures:
        again = score(name, root=root, split=split, run_file=out / "run.trec")["metrics"]["final"]
        assert again == metrics["metrics"]["final"]
    if name == "circo" and split == "val":
        theirs = score(name, root=root, split=split, run_file=out / "submission.json")["metrics"]["final"]
        assert theirs["all"]["mAP@50"] == metrics["metrics"]["final"]["all"]["mAP@50"]
    if name == "cirr" and split == "val":
        for metric, measure in (("recall", "R@50"), ("recall_subset", "R_subset@3")):
            got = score(name, root=root, split=split, run_file=out / f"submission_{metric}.json")
            assert got["metrics"]["final"]["all"][measure] == metrics["metrics"]["final"]["all"][measure]


def test_stages_are_those_of_the_graph_and_usage_is_per_query(
    layout: Any, opened: Any, tmp_path: Any
) -> None:
    root = layout("flickr30k")
    benchmark = datasets.load("flickr30k", root)
    plain = evaluate(
        "flickr30k", root=root, out=tmp_path / "a", system=opened(benchmark, "retrieve"), progress=False
    )
    assert set(plain["metrics"]) == {"retrieve", "final"} and plain["usage"]["calls"] == {}
    full = evaluate(
        "flickr30k", root=root, out=tmp_path / "b", system=opened(benchmark, "imagescope"), progress=False
    )
    assert full["usage"]["calls"]["reasoner"] == 2.0 and 1 <= full["usage"]["calls"]["judge"] <= 3
    assert full["settings"]["top_k"] == 20 and full["judge"] == "pairwise"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "split"), SETS)
def test_a_data_set_with_the_mini_models(layout: Any, tmp_path: Any, name: Any, split: Any) -> None:
    if not files("imagescope_agent").joinpath("mini/mllm").is_dir():
        pytest.skip("the mini checkpoints are not in this checkout")
    root, out = layout(name), tmp_path / "run"
    limit = None if split in ("test", "test1") else 1  # a server wants every query
    metrics = evaluate(name, root=root, split=split, out=out, limit=limit, top_k=4, progress=False)
    assert metrics["failed"] == 0 and metrics["queries"] == (
        11 if name == "visdial" else limit or metrics["queries"]
    )
    assert all(len(weights) >= 16 for weights in metrics["weights"].values())
    assert sum(metrics["usage"]["calls"].values()) >= 1 and metrics["usage"]["seconds"]
    assert (out / "report.html").stat().st_size > 3_000 and "Mean cost" in (out / "table.md").read_text()
    if limit is None:
        assert metrics["submissions"] == dict.fromkeys(SUBMISSIONS[name], "valid")
        for file in metrics["submissions"]:
            lists = json.loads((out / file).read_text())
            assert {"version", "metric"} & set(lists) or len(lists) == metrics["queries"]
