"""Paired significance tests over queries (or dialogs), and Holm's correction for multiple comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
#: Numbers drawn at a time, so that memory does not grow with the number of queries.
_CHUNK = 4_000_000


def bootstrap_interval(
    differences: npt.ArrayLike, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of paired differences.

    Args:
        differences: (n,), one a query: value of the one run minus value of the other.
        confidence: e.g. 0.95 for the 2.5th to the 97.5th percentile.
        resamples: how often n queries are drawn with replacement.
        seed: the same seed gives the same interval.

    Returns:
        Lower and upper end; (nan, nan) for n = 0. Efron and Tibshirani, 1993, chapter 13.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.size == 0:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    sampled = np.empty(resamples)
    step = max(1, _CHUNK // values.size)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        sampled[start : start + size] = values[rng.integers(values.size, size=(size, values.size))].mean(
            axis=1
        )
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(sampled, [tail, 1.0 - tail])
    return float(low), float(high)


def permutation_test(differences: npt.ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided paired permutation (sign-flip) test of "the two runs are exchangeable".

    p = (1 + #{|mean of randomly flipped differences| >= |observed mean|}) / (1 + resamples); 1.0 when nothing
    differs. Smucker, Allan and Carterette, CIKM 2007.

    Args:
        differences: (n,), one a query.
        resamples: random sign assignments.
        seed: the same seed gives the same p.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0.0]  # flipping zero changes nothing
    if values.size == 0:
        return 1.0
    rng = np.random.default_rng(seed)
    observed = abs(values.sum())
    # equal sums can differ in the last bit by the order of addition
    bound = observed - 1e-9 * max(1.0, float(observed))
    extreme = 0
    step = max(1, _CHUNK // values.size)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        signs = rng.integers(2, size=(size, values.size), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ values) >= bound).sum())
    return (1 + extreme) / (1 + resamples)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values of several comparisons by Holm's step-down method (1979), in the given order.

    With p sorted upwards, adjusted_i = max_{j<=i} min(1, (m - j + 1) p_j); it controls the family-wise error
    rate.
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = running
    return adjusted
