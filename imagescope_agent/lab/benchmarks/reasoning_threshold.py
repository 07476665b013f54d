"""Where the roles should write a chain: the lead of the first image without one, below which `auto` asks them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.lab.training.embedders.cir_cot_calibrate import least_lead

FAST, FULL = "fast", "full by roles"
SHARES = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)  # per cent of the queries


def threshold_curve(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any] | None:
    """What `auto` would find on the same queries if it wrote a chain for those of the least lead.

    Args:
        rows: of each way, a row a query in the same order: its `rank`, and its `lead`.

    Returns:
        {"threshold": the least that costs no more than half a point of R@1, "written": share of chains with it,
        "R@1": {share written in per cent: R@1}}; None where one of the two ways was not asked.
    """
    if not rows.get(FAST) or not rows.get(FULL):
        return None
    fast, full = (np.array([row["rank"] for row in rows[name]]) for name in (FAST, FULL))
    lead = np.array([row["lead"] for row in rows[FAST]])
    threshold = min(math.ceil(least_lead(lead, fast, full) * 1e4) / 1e4, 1.0)  # as the setting takes it
    right = np.where(
        np.argsort(np.argsort(lead, kind="stable"))[None] < _counts(lead.size), full == 0, fast == 0
    )
    return {
        "threshold": threshold,
        "written": round(float((lead < threshold).mean()), 4),
        "R@1": {share: round(100 * float(row.mean()), 1) for share, row in zip(SHARES, right, strict=True)},
    }


def _counts(queries: int) -> np.ndarray[Any, Any]:
    return np.array([[round(share * queries / 100)] for share in SHARES])


def describe_curve(found: Mapping[str, Any] | None) -> list[str]:
    """The curve as Markdown, and the line of a profile."""
    if found is None:
        return []
    table = markdown_table(
        ["chains written by the roles", *(f"{share} %" for share in found["R@1"])],
        [["R@1", *(f"{share:.1f}" for share in found["R@1"].values())]],
    )
    return [
        table,
        f"On these queries roles_threshold = {found['threshold']} is the least within half a point of {FULL}: "
        f"a chain for {found['written']:.0%}.",
    ]
