"""Our figures beside those of ir-measures (trec_eval), where the definitions agree."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from imagescope_agent.evaluation import metrics, trec

ir_measures = pytest.importorskip("ir_measures", reason="ir-measures is a development dependency")

IMAGES = [f"image{number}" for number in range(80)]


@pytest.fixture(scope="module")
def drawn_run() -> Any:
    rng = random.Random(4)
    truth = {f"q{n}": set(rng.sample(IMAGES, rng.randint(1, 9))) for n in range(60)}
    rankings = {qid: rng.sample(IMAGES, rng.choice([3, 40, 80])) for qid in truth}
    return truth, rankings


def test_our_figures_agree_with_trec_eval(drawn_run: Any, tmp_path: Any) -> None:
    truth, rankings = drawn_run
    trec.write_run(tmp_path / "a.run", rankings, "ours")
    qrels = [ir_measures.Qrel(qid, image, 1) for qid, images in truth.items() for image in images]
    names = ["R@10", "P@5", "RR", "nDCG@10", "Success@5", "AP"]
    measures = [ir_measures.parse_measure(name) for name in names]
    run = list(ir_measures.read_trec_run(str(tmp_path / "a.run")))
    theirs = {(str(m.measure), m.query_id): m.value for m in ir_measures.iter_calc(measures, qrels, run)}
    rel = np.zeros((len(truth), 80), dtype=bool)
    for row, (qid, ranking) in enumerate(rankings.items()):
        rel[row, : len(ranking)] = [image in truth[qid] for image in ranking]
    n = np.array([len(images) for images in truth.values()])
    first = np.where(rel.any(axis=1), rel.argmax(axis=1) + 1.0, np.nan)
    ours = {
        "R@10": metrics.recall_at_k(rel, n, 10),
        "P@5": metrics.precision_at_k(rel, 5),
        "RR": metrics.reciprocal_rank(first),
        "nDCG@10": metrics.ndcg_at_k(rel, n, 10),
        "Success@5": metrics.hit_at_k(rel, 5),
        "AP": metrics.average_precision_at_k(rel, n, 80),  # the denominators agree where k exceeds every R
    }
    for name, values in ours.items():
        assert values == pytest.approx([theirs[name, qid] for qid in truth]), name
