"""Aggregations against slow twins: every permutation, a plain fit, and ties that must change nothing."""

from __future__ import annotations

import random
from itertools import combinations, permutations

import numpy as np
import pytest
from scipy.optimize import minimize

from imagescope_agent.judges import aggregation
from imagescope_agent.judges.aggregation import best_path, kemeny, matrix, path_weight, strengths

ALL = [aggregation.copeland, aggregation.borda, aggregation.bradley_terry, kemeny, best_path]


def noisy(count: int, seed: int) -> list[list[float]]:
    rng = random.Random(seed)
    return matrix(count, {pair: round(rng.random(), 2) for pair in combinations(range(count), 2)})


@pytest.mark.parametrize("aggregate", ALL)
@pytest.mark.parametrize("count", [1, 2, 5, 14])
def test_ties_keep_the_order_and_a_true_order_is_found(aggregate: object, count: int) -> None:
    assert aggregate(matrix(count, {})) == list(range(count))  # type: ignore[operator]
    true = random.Random(count).sample(range(count), count)
    known = {(a, b): 1.0 for a, b in combinations(true, 2)}
    assert aggregate(matrix(count, known)) == true  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(12))
def test_kemeny_and_the_best_path_are_the_best_of_all_permutations(seed: int) -> None:
    w = noisy(5, seed)
    every = list(permutations(range(5)))

    def agreement(order: tuple[int, ...] | list[int]) -> float:
        return sum(w[a][b] for a, b in combinations(order, 2))

    assert agreement(kemeny(w)) == pytest.approx(max(map(agreement, every)))
    assert path_weight(w, best_path(w)) == pytest.approx(max(path_weight(w, order) for order in every))


def test_above_the_exact_size_local_search_comes_close(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(5):
        w = noisy(7, seed)
        exact = path_weight(w, best_path(w))
        with monkeypatch.context() as patch:
            patch.setattr(aggregation, "EXACT", 3)
            near = best_path(w)
        assert sorted(near) == list(range(7))
        assert path_weight(w, near) >= 0.9 * exact


def test_bradley_terry_is_the_maximum_of_its_likelihood() -> None:
    w = np.asarray(noisy(5, 3)) + 0.05
    np.fill_diagonal(w, 0)

    def loss(log: np.ndarray) -> float:
        return float(np.sum(w * np.log1p(np.exp(log[None, :] - log[:, None]))) + log.mean() ** 2)

    slow = minimize(loss, np.zeros(5)).x
    assert np.log(strengths(noisy(5, 3))) == pytest.approx(slow - slow.mean(), abs=1e-3)
