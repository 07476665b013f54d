"""How far the probability that a first place fulfils its query can be trusted, in plain numpy.

Everything takes two arrays over queries, both (n,): `chance`, the probability from 0 to 1 that a system states, and
`right`, bool, whether its first place does fulfil the whole query. For a query that nothing fulfils it is False.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imagescope_agent.errors import BadInput

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

BINS = 10


def expected_calibration_error(chance: Floats, right: Bools, bins: int = BINS) -> float:
    """ECE = sum over bins b of n_b/n * |share right in b - mean chance in b|; lower is better, 0 at best.

    Bins of equal width, each with its upper edge, 0 in the first (Guo et al., arXiv 1706.04599).

    Raises:
        BadInput: see `checked`.
    """
    chance, right = checked(chance, right)
    which = np.clip(np.ceil(chance * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(which, weights=right - chance, minlength=bins)
    return float(np.abs(gaps).sum() / len(chance))


def area_under_risk_coverage(chance: Floats, right: Bools) -> float:
    """AURC: mean over coverages 1/n..n/n of the share of wrong answers among the most probable; lower is better.

    Queries of equal chance are answered together or not at all: each of their coverages counts the risk that a random
    order of them has on average (Geifman and El-Yaniv, arXiv 1705.08500; ties as in Zhou et al., arXiv 2410.15361).

    Raises:
        BadInput: see `checked`.
    """
    chance, right = checked(chance, right)
    levels, group = np.unique(-chance, return_inverse=True)
    size = np.bincount(group, minlength=len(levels))
    share = np.bincount(group, weights=~right, minlength=len(levels)) / size
    wrong = np.cumsum(np.repeat(share, size))
    return float((wrong / np.arange(1, len(chance) + 1)).mean())


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """What a threshold lets through.

    Args:
        threshold: answers are accepted from this chance on.
        false_accept: share of the wrong first places that are accepted; 0 where none is wrong.
        false_reject: share of the right first places that are rejected; 0 where none is right.
    """

    threshold: float
    false_accept: float
    false_reject: float


def acceptance(chance: Floats, right: Bools, threshold: float) -> Acceptance:
    """False accept and false reject at a threshold.

    Raises:
        BadInput: see `checked`.
    """
    chance, right = checked(chance, right)
    accepted = chance >= threshold
    return Acceptance(
        threshold=threshold,
        false_accept=_share(accepted, ~right),
        false_reject=_share(~accepted, right),
    )


def confidence_of(stated: Sequence[tuple[float, bool]], accepted: Sequence[bool]) -> dict[str, Any]:
    """{"queries", "right", "ECE", "AURC", "false accept", "false reject"}; shares are from 0 to 1.

    Args:
        stated: of each query the probability and whether its first place is right.
        accepted: of each, whether the system showed its first place as fitting.

    Raises:
        BadInput: see `checked`.
    """
    chance, right = checked([each for each, _ in stated], [each for _, each in stated])
    at = acceptance(np.asarray(accepted, dtype=np.float64), right, 0.5)
    return {
        "queries": len(stated),
        "right": int(right.sum()),
        "ECE": round(expected_calibration_error(chance, right), 4),
        "AURC": round(area_under_risk_coverage(chance, right), 4),
        "false accept": round(at.false_accept, 4),
        "false reject": round(at.false_reject, 4),
    }


def even_threshold(chance: Floats, right: Bools) -> Acceptance:
    """The acceptance whose larger share of errors, false accepts or rejects, is least; the middle one of several.

    To be chosen on queries that are not evaluated. Thresholds lie between the probabilities that were stated.

    Raises:
        BadInput: see `checked`.
    """
    chance, right = checked(chance, right)
    known = np.unique(chance)
    between = [0.0, *((known[1:] + known[:-1]) / 2).tolist(), float(np.nextafter(known[-1], 2))]
    tried = [acceptance(chance, right, each) for each in between]
    errors = [max(each.false_accept, each.false_reject) for each in tried]
    best = [each for each, error in zip(tried, errors, strict=True) if error == min(errors)]
    return best[len(best) // 2]


def checked(chance: npt.ArrayLike, right: npt.ArrayLike) -> tuple[Floats, Bools]:
    """Both as arrays.

    Raises:
        BadInput: none at all, of different lengths, or a chance that is no number from 0 to 1.
    """
    stated, truth = np.asarray(chance, dtype=np.float64), np.asarray(right, dtype=bool)
    if stated.ndim != 1 or stated.shape != truth.shape or not len(stated):
        raise BadInput(
            f"{stated.shape} probabilities for {truth.shape} answers; give one for each, at least one"
        )
    if not ((stated >= 0) & (stated <= 1)).all():  # false for nan
        raise BadInput(
            "a probability is no number from 0 to 1; leave out queries about which none was stated"
        )
    return stated, truth


def _share(of: Bools, among: Bools) -> float:
    return float((of & among).sum() / among.sum()) if among.any() else 0.0
