from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from imagescope_agent.evaluation.significance import bootstrap_interval, holm, permutation_test


def test_interval_agrees_with_scipy_and_is_repeatable() -> None:
    differences = np.random.default_rng(1).normal(0.3, 1.0, size=200)
    low, high = bootstrap_interval(differences, seed=5)
    assert (low, high) == bootstrap_interval(differences, seed=5)
    theirs = stats.bootstrap((differences,), np.mean, method="percentile", rng=0).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_interval_covers_at_about_its_rate() -> None:
    rng = np.random.default_rng(2)
    inside = 0
    for trial in range(200):
        low, high = bootstrap_interval(rng.normal(0.1, 1.0, size=80), resamples=500, seed=trial)
        inside += low <= 0.1 <= high
    assert 0.88 <= inside / 200 <= 0.99


def test_permutation_agrees_with_the_exact_test() -> None:
    differences = np.array([1.0, 2.0, -0.5, 3.0, 1.5, 0.7, -0.2, 2.2])
    exact = stats.permutation_test(
        (differences, np.zeros(8)), lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples", vectorized=True, n_resamples=np.inf,
    ).pvalue  # fmt: skip
    assert permutation_test(differences, resamples=50_000) == pytest.approx(exact, abs=0.005)


def test_no_difference_is_never_significant() -> None:
    assert permutation_test(np.zeros(100)) == 1.0
    assert bootstrap_interval(np.zeros(100)) == (0.0, 0.0)
    assert np.isnan(bootstrap_interval([])).all()


def test_permutation_p_is_uniform_under_the_null() -> None:
    rng = np.random.default_rng(3)
    p = [permutation_test(rng.normal(size=40), resamples=400, seed=i) for i in range(300)]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.09


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
