from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from imagescope_agent.evaluation import metrics


def slow_ap(relevant: Any, k: Any, n_relevant: Any) -> Any:
    hits, total = 0, 0.0
    for rank, good in enumerate(relevant[:k], start=1):
        if good:
            hits += 1
            total += hits / rank
    return total / min(n_relevant, k) if n_relevant else 0.0


def slow_ndcg(relevant: Any, k: Any, n_relevant: Any) -> Any:
    gained = sum(1 / math.log2(rank + 1) for rank, good in enumerate(relevant[:k], start=1) if good)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(n_relevant, k) + 1))
    return gained / ideal if ideal else 0.0


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8])
def test_every_short_ranking_agrees_with_a_slow_reference(k: Any) -> None:
    rankings = np.array(list(itertools.product([False, True], repeat=5)))
    for unranked in (0, 1, 7):
        n = rankings.sum(axis=1) + unranked
        got_ap = metrics.average_precision_at_k(rankings, n, k)
        got_ndcg = metrics.ndcg_at_k(rankings, n, k)
        got_recall = metrics.recall_at_k(rankings, n, k)
        for row, relevant in enumerate(rankings):
            assert got_ap[row] == pytest.approx(slow_ap(relevant, k, n[row]))
            assert got_ndcg[row] == pytest.approx(slow_ndcg(relevant, k, n[row]))
            assert got_recall[row] == pytest.approx(sum(relevant[:k]) / n[row] if n[row] else 0.0)
        assert metrics.hit_at_k(rankings, k) == pytest.approx([float(any(r[:k])) for r in rankings])
        assert metrics.precision_at_k(rankings, k) == pytest.approx([sum(r[:k]) / k for r in rankings])


def test_the_reciprocal_of_no_rank_is_zero() -> None:
    assert metrics.reciprocal_rank(np.array([1.0, 4.0, np.nan])).tolist() == [1.0, 0.25, 0.0]


def test_circo_divides_by_the_smaller_of_relevant_and_k() -> None:
    one_of_five = np.array([[True, False]])
    assert metrics.average_precision_at_k(one_of_five, np.array([5]), 2) == pytest.approx(
        [0.5]
    )  # not 1/5, not 1


def test_hits_stay_hit_while_recall_forgets() -> None:
    ranks = np.array([[3.0, 12.0, 20.0], [50.0, 11.0, 10.0]])
    assert metrics.hits_cumulative(ranks, 10).tolist() == [[1, 1, 1], [0, 0, 1]]
    assert (ranks <= 10).tolist() == [[True, False, False], [False, False, True]]


def test_an_unanswered_round_is_no_hit_and_takes_none_away() -> None:
    ranks = np.array([[np.nan, 5.0, np.nan]])
    assert metrics.hits_cumulative(ranks, 10).tolist() == [[0, 1, 1]]


def test_bri_is_the_papers_formula() -> None:
    rng = np.random.default_rng(0)
    ranks = rng.integers(1, 50_000, size=(40, 11)).astype(float)
    best = np.minimum.accumulate(ranks, axis=1)
    steps = best.shape[1] - 1
    ends = np.log(best[:, 0] * best[:, -1]) / (2 * steps)
    assert metrics.bri(ranks) == pytest.approx(ends + np.log(best[:, 1:-1]).sum(axis=1) / steps)
    assert metrics.bri(np.ones((3, 11))) == pytest.approx([0.0] * 3)


def test_a_near_miss_counts_where_it_stands_above_the_last_right_image() -> None:
    negative = np.array(
        [[True, False, False], [False, False, True], [False, False, True], [False, True, False]]
    )
    last = np.array([2.0, 2.0, np.nan, 3.0])  # nan: one right image is not ranked at all
    assert metrics.negative_above(negative, last, 3).tolist() == [1.0, 0.0, 1.0, 1.0]
    assert metrics.negative_above(negative, last, 1).tolist() == [1.0, 0.0, 0.0, 0.0]
    counts = np.array([5, 1, 2, 0])
    assert metrics.negative_recall_at_k(negative, counts, 2) == pytest.approx([0.5, 0.0, 0.0, 0.0])


def test_the_spread_is_relative_to_the_mean() -> None:
    assert metrics.relative_spread([80.0, 60.0, 70.0]) == pytest.approx(20 / 70)
    assert metrics.relative_spread([0.0, 0.0]) == metrics.relative_spread([]) == 0.0
